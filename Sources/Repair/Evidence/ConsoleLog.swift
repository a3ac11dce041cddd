import HostTools
import SystemPackage

/// The end of the log that libvirt writes of a console (`<serial><log file='…'/></serial>`).
struct ConsoleLog: Sendable {
    /// How much of the end is read, in bytes: a boot has less.
    static let limit = 256 << 10

    /// The bytes, oldest first.
    let bytes: [UInt8]
    /// When something was last written, in nanoseconds since 1970. What is older than the domain's process is of an earlier
    /// run, and a boot loop writes all the time.
    let modified: Int64

    /// Reads the end of a log.
    ///
    /// virtlogd begins a new file at 2 MiB and calls the full one `PATH.0` (`max_size` in virtlogd.conf): what was said just before
    /// is there.
    ///
    /// - Throws: `Errno`, as ``FileTail/init(of:limit:)``.
    init(_ path: String) throws(Errno) {
        let log = try FileTail(of: path, limit: Self.limit)
        modified = log.status.modified
        guard log.isWhole, let full = try? FileTail(of: "\(path).0", limit: Self.limit - log.bytes.count) else {
            bytes = Self.wholeLines(of: log)
            return
        }
        bytes = Self.wholeLines(of: full) + log.bytes
    }

    /// The half line at the beginning could be taken for a whole one.
    private static func wholeLines(of tail: FileTail) -> [UInt8] {
        guard !tail.isWhole else { return tail.bytes }
        return Array(tail.bytes.drop { $0 != UInt8(ascii: "\n") })
    }
}
