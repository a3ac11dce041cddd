import Glibc
public import SystemPackage

/// A lock between processes: an flock(2) on a file, gone with the process that holds it, never by the file's existence. What
/// is in the file only tells who holds it.
public final class FileLock: Sendable {
    /// Who may have a lock at the same time.
    public enum Sharing: Hashable, Sendable {
        /// One.
        case exclusive
        /// Many, while nobody has it exclusively.
        case shared

        fileprivate var operation: Int32 { self == .exclusive ? LOCK_EX : LOCK_SH }
    }

    private let path: String
    private let descriptor: FileDescriptor

    private init(path: String, descriptor: FileDescriptor) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Takes the lock; nil where somebody else holds it.
    ///
    /// - Parameters:
    ///   - path: of the file; made where it is missing.
    ///   - note: what ``holders(of:against:)`` tells others, one line.
    /// - Throws: `Errno` where it can't be opened.
    public static func take(
        _ path: String, _ sharing: Sharing = .exclusive, note: String = ""
    ) throws(Errno) -> FileLock? {
        // Who only looks whether it is held has it for a moment.
        var backoff = Backoff(.milliseconds(100))
        while true {
            let file = FileDescriptor(rawValue: try open(path, creating: O_CREAT))
            guard flock(file.rawValue, sharing.operation | LOCK_NB) == 0 else {
                close(file.rawValue)
                if backoff.pause() { continue }
                return nil
            }
            // The one before may have deleted the file between our open and our lock.
            guard let now = try? FileStatus(of: path).identity, now == (try? FileStatus(of: file).identity) else {
                close(file.rawValue)
                continue
            }
            if sharing == .exclusive { ftruncate(file.rawValue, 0) }
            let line = "\(getpid()) \(note.split(whereSeparator: \.isNewline).joined(separator: " "))\n"
            // Where the disk is full, nobody learns who holds it: the lock holds all the same.
            _ = try? file.writeAll(line.utf8)
            return FileLock(path: path, descriptor: file)
        }
    }

    /// Gives the lock back, and deletes the file where nobody else has it.
    public func release() {
        // A shared lock that others have too can't become exclusive: it is the last one that deletes.
        if flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
        // A program that is just being started has a copy of the descriptor until its exec: closing ours would not unlock.
        flock(descriptor.rawValue, LOCK_UN)
        close(descriptor.rawValue)
    }

    /// A process that has a lock.
    public struct Holder: Hashable, Sendable {
        /// Its number.
        public let pid: Int32
        /// What it said when it took the lock.
        public let note: String
    }

    /// Who has a lock that somebody would like to take; nil where it is free. Empty where it is held by nobody knows whom.
    ///
    /// - Parameter sharing: how it would be taken.
    public static func holders(of path: String, against sharing: Sharing = .exclusive) -> [Holder]? {
        guard let descriptor = try? open(path, creating: 0) else { return nil }
        defer { close(descriptor) }
        guard flock(descriptor, sharing.operation | LOCK_NB) != 0 else { return nil }
        return holders(in: FileDescriptor(rawValue: descriptor))
    }

    private static func holders(in file: FileDescriptor) -> [Holder] {
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = pread(file.rawValue, &bytes, bytes.count, 0)
        guard count > 0 else { return [] }
        return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
            // Those that shared it and have ended left their line.
            guard let pid = words.first.flatMap({ Int32($0) }), pid > 0, kill(pid, 0) == 0 || errno == EPERM else {
                return nil
            }
            return Holder(pid: pid, note: words.count > 1 ? String(words[1]) : "")
        }
    }

    private static func open(_ path: String, creating flag: Int32) throws(Errno) -> Int32 {
        let descriptor = Glibc.open(path, O_RDWR | O_APPEND | O_CLOEXEC | flag, 0o600)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        return descriptor
    }
}
