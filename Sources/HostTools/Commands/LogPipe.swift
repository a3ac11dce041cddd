import Dispatch
import SystemPackage

/// A pipe into a log that takes no more than a number of bytes. Its end is the end of everyone who can write to it: a
/// checker whose wrapper died still counts.
///
/// RLIMIT_FSIZE would bound the log too, but xfs_repair insists on having no such limit.
struct LogPipe: Sendable {
    /// Where the program writes; closed by ``closeWriter()`` as soon as the program has it.
    let writer: FileDescriptor

    private let copying: Task<Void, Never>

    /// Opens the pipe and begins to copy.
    ///
    /// - Parameters:
    ///   - limit: bytes; what comes after them is read and dropped.
    ///   - exceeded: called once, from another thread, when there are more.
    /// - Throws: `Errno`.
    init(into log: FileDescriptor, limit: Int, exceeded: @escaping @Sendable () -> Void) throws {
        let ends = try FileDescriptor.pipe()
        writer = ends.writeEnd
        let reader = ends.readEnd
        copying = Task {
            await withCheckedContinuation { continuation in
                // Reading blocks: on a thread of its own, not on one of the tasks'.
                DispatchQueue(label: "virt-fsck.log").async {
                    Self.copy(reader, into: log, limit: limit, exceeded: exceeded)
                    try? reader.close()
                    continuation.resume()
                }
            }
        }
    }

    /// Gives our own end up.
    func closeWriter() {
        try? writer.close()
    }

    /// Waits until nobody can write to it any more, and everything is in the log.
    func end() async {
        await copying.value
    }

    private static func copy(
        _ reader: FileDescriptor, into log: FileDescriptor, limit: Int, exceeded: () -> Void
    ) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var room = limit
        var isExceeded = false
        while let count = try? buffer.withUnsafeMutableBytes({ try reader.read(into: $0) }), count > 0 {
            // A full disk must not end the checker: it goes on without its log.
            _ = try? log.writeAll(buffer[..<min(count, room)])
            if count > room, !isExceeded {
                isExceeded = true
                exceeded()
            }
            room -= min(count, room)
        }
    }
}
