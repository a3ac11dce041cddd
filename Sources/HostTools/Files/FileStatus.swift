import CLinux
import Glibc
public import SystemPackage

/// What stat(2) tells about a file, symbolic links followed.
public struct FileStatus: Hashable, Sendable {
    /// Kinds of files that matter to us.
    public enum Kind: String, Hashable, Sendable, Codable {
        case regular
        case directory
        case blockDevice
        case fifo
        case other
    }

    /// What it is.
    public var kind: Kind
    /// Content in bytes; 0 for a device.
    public var size: UInt64
    /// Owner.
    public var userID: UInt32
    /// Group.
    public var groupID: UInt32
    /// Permission bits.
    public var mode: UInt32
    /// Device number of a block device.
    public var deviceNumber: UInt64
    /// Filesystem and inode: two paths with the same identity are one file.
    public var identity: FileIdentity
    /// Last change of the content, in nanoseconds since 1970.
    public var modified: Int64
    /// Last change of content, owner, mode or name, in nanoseconds since 1970.
    public var changed: Int64
    /// Bytes that it takes on its filesystem; a sparse file takes less than its size.
    public var allocated: UInt64

    /// Whether it is the same file, and nobody wrote to it since.
    public func isUnchanged(since before: FileStatus) -> Bool {
        identity == before.identity && size == before.size && modified == before.modified
    }

    /// Looks at `path`.
    ///
    /// - Throws: `Errno`.
    public init(of path: String) throws(Errno) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw Errno(rawValue: errno) }
        self.init(status)
    }

    /// Looks at an open file.
    ///
    /// - Throws: `Errno`.
    public init(of descriptor: FileDescriptor) throws(Errno) {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        self.init(status)
    }

    /// Looks at `path` itself, not at where a symbolic link leads.
    ///
    /// - Throws: `Errno`.
    public init(ofLink path: String) throws(Errno) {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw Errno(rawValue: errno) }
        self.init(status)
    }

    private init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFBLK: .blockDevice
            case S_IFIFO: .fifo
            default: .other
            }
        size = kind == .blockDevice ? 0 : UInt64(clamping: status.st_size)
        userID = status.st_uid
        groupID = status.st_gid
        mode = status.st_mode & 0o7777
        deviceNumber = UInt64(status.st_rdev)
        identity = FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        modified = Self.nanoseconds(status.st_mtim)
        changed = Self.nanoseconds(status.st_ctim)
        // stat(2): in units of 512 bytes, whatever the filesystem's block is.
        let (bytes, overflow) = UInt64(clamping: status.st_blocks).multipliedReportingOverflow(by: 512)
        allocated = overflow ? .max : bytes
    }

    /// Some filesystems keep times that are farther away than 292 years: they are all the same.
    static func nanoseconds(_ time: timespec) -> Int64 {
        let (seconds, tooFar) = Int64(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflow) = seconds.addingReportingOverflow(Int64(time.tv_nsec))
        guard tooFar || overflow else { return sum }
        return time.tv_sec < 0 ? .min : .max
    }
}

/// One file, whatever path leads to it: number of its filesystem and of its inode.
public struct FileIdentity: Hashable, Sendable, Codable {
    /// Number of the filesystem (st_dev).
    public var device: UInt64
    /// Number of the inode.
    public var inode: UInt64
}
