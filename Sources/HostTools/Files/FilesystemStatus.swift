import CLinux
import Glibc
public import SystemPackage

/// What statfs(2) tells about the filesystem that holds a file or folder.
public struct FilesystemStatus: Hashable, Sendable {
    /// Which filesystem: paths with the same number share its room (st_dev).
    public var device: UInt64
    /// Bytes that an ordinary user can still write. What is set aside for root is not counted.
    public var free: UInt64
    /// Whether it is gone with a reboot (tmpfs, ramfs).
    public var isVolatile: Bool

    /// A filesystem as a test wants it.
    public init(device: UInt64, free: UInt64, isVolatile: Bool = false) {
        self.device = device
        self.free = free
        self.isVolatile = isVolatile
    }

    /// Looks at the filesystem that holds `path`.
    ///
    /// - Throws: `Errno`.
    public init(of path: String) throws(Errno) {
        var kind = statfs()
        var space = statvfs()
        guard statfs(path, &kind) == 0, statvfs(path, &space) == 0 else { throw Errno(rawValue: errno) }
        device = try FileStatus(of: path).identity.device
        let (bytes, overflow) = UInt64(space.f_bavail).multipliedReportingOverflow(by: UInt64(space.f_frsize))
        free = overflow ? .max : bytes
        // TMPFS_MAGIC and RAMFS_MAGIC of linux/magic.h.
        isVolatile = [0x0102_1994, 0x8584_58f6].contains(UInt32(truncatingIfNeeded: kind.f_type))
    }
}

extension Files {
    /// Whether a folder's filesystem, with its quotas, takes that many bytes more. Nothing is left in it.
    ///
    /// - Returns: false only where it says that it is full: what else may be wrong is not asked here.
    public static func hasRoom(for bytes: Int, in folder: String) -> Bool {
        let descriptor = open(folder, shim_O_TMPFILE() | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return errno != ENOSPC && errno != EDQUOT }
        defer { close(descriptor) }
        let result = posix_fallocate(descriptor, 0, bytes)
        return result != ENOSPC && result != EDQUOT
    }
}
