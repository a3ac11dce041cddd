import Glibc
public import SystemPackage

/// A lock between processes: an flock(2) on a file, gone with the process that holds it, never by the file's existence.
public final class FileLock: Sendable {
    private let path: String
    private let descriptor: FileDescriptor

    private init(path: String, descriptor: FileDescriptor) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Takes the lock at once; nil where somebody else holds it.
    ///
    /// - Parameter path: of the file; made where it is missing.
    /// - Throws: `Errno` where it can't be opened.
    public static func take(_ path: String) throws(Errno) -> FileLock? {
        while true {
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Errno(rawValue: errno) }
            let file = FileDescriptor(rawValue: descriptor)
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                close(descriptor)
                return nil
            }
            // The one before may have deleted the file between our open and our lock.
            if let now = try? FileStatus(of: path).identity, now == (try? FileStatus(of: file).identity) {
                return FileLock(path: path, descriptor: file)
            }
            close(descriptor)
        }
    }

    /// Gives the lock back and deletes the file.
    public func release() {
        unlink(path)
        close(descriptor.rawValue)
    }
}
