import Glibc
public import SystemPackage

/// The end of a file that may be huge, and still grow.
public struct FileTail: Hashable, Sendable {
    /// The last bytes.
    public let bytes: [UInt8]
    /// Whether they are all that the file has.
    public let isWhole: Bool
    /// Of the file when it was read.
    public let status: FileStatus

    /// Reads the last bytes of a file; what is before them isn't read.
    ///
    /// - Parameters:
    ///   - path: a regular file, symbolic links followed.
    ///   - limit: how many bytes at most.
    /// - Throws: `Errno`; `noSuchFileOrDirectory` when there is none, `invalidArgument` when it isn't a regular file: a pipe would
    ///   have no end.
    public init(of path: String, limit: Int) throws(Errno) {
        // O_NONBLOCK: opening a pipe would wait for its writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        status = try FileStatus(of: FileDescriptor(rawValue: descriptor))
        guard status.kind == .regular else { throw .invalidArgument }
        let start = max(0, Int(status.size) - limit)
        var bytes = [UInt8](repeating: 0, count: Int(status.size) - start)
        var count = 0
        while count < bytes.count {
            let result = bytes.withUnsafeMutableBytes { memory in
                pread(
                    descriptor, UnsafeMutableRawBufferPointer(rebasing: memory[count...]).baseAddress,
                    memory.count - count, off_t(start + count))
            }
            if result < 0 && errno == EINTR { continue }
            guard result >= 0 else { throw Errno(rawValue: errno) }
            // Shorter than a moment ago: it was truncated.
            guard result > 0 else { break }
            count += result
        }
        bytes.removeLast(bytes.count - count)
        self.bytes = bytes
        isWhole = start == 0
    }
}
