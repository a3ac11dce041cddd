import CLinux
import Glibc

/// What the kernel said of failing devices since a moment (`/dev/kmsg`; the kernel's `Documentation/ABI/testing/dev-kmsg`).
///
/// A checker's words about a block that can't be read tell a damaged pointer from a failing disk badly; the kernel knows. It says so
/// before the read returns (`blk_print_req_error` of block/blk-core.c), and of ten errors within five seconds at most.
public final class KernelLog {
    /// What was said.
    public struct Errors: Hashable, Sendable {
        /// Names of the devices, as in /sys/block.
        public var devices: Set<String> = []
        /// Whether the kernel may have kept errors to itself, having said enough of them.
        public var mayBeIncomplete: Bool { count >= 10 }
        /// How often.
        public var count = 0

        /// Takes one record of the log: `PRIORITY,NUMBER,TIME,FLAGS;TEXT`, where only the kernel writes priorities below 8.
        mutating func take(_ record: some StringProtocol) {
            let parts = record.split(separator: ";", maxSplits: 1)
            guard parts.count == 2, let priority = parts[0].split(separator: ",").first.flatMap({ Int($0) }),
                priority < 8, let text = parts[1].split(separator: "\n").first
            else { return }
            for mark in [" error, dev ", "Buffer I/O error on dev "] {
                guard let place = text.firstRange(of: mark) else { continue }
                devices.insert(String(text[place.upperBound...].prefix { !", ".contains($0) }))
                count += 1
                return
            }
        }
    }

    private let descriptor: CInt

    /// Listens from now on; nil where the kernel's log can't be read.
    public init?(path: String = "/dev/kmsg") {
        descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        guard lseek(descriptor, 0, SEEK_END) >= 0 else {
            close(descriptor)
            return nil
        }
    }

    deinit { close(descriptor) }

    /// What was said since the last call.
    public func errors() -> Errors {
        var errors = Errors()
        // A record is 8 KiB at most, and is read whole.
        var record = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let count = read(descriptor, &record, record.count)
            if count > 0 {
                errors.take(String(decoding: record[..<count], as: UTF8.self))
            } else if count == 0 || errno != EPIPE && errno != EINTR {
                return errors
            } else if errno == EPIPE {
                // Records were overwritten before they were read: whatever they said.
                errors.count += 10
            }
        }
    }
}
