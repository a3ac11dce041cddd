import CLinux
import Glibc
public import SystemPackage

/// A device of the kernel's network block driver, claimed for us: locked (`flock`, exclusive, on the whole device) before
/// it has content and until it is gone, as systemd's block device locking rule wants it.
public final class NBDDevice: Sendable {
    /// The device's node.
    public let path: String
    /// The device.
    public let number: DeviceNumber
    /// Open for reading and writing; holds the lock. Closed by ``release()``.
    public let descriptor: FileDescriptor

    private let folder: String

    private init(path: String, number: DeviceNumber, descriptor: FileDescriptor, folder: String) {
        self.path = path
        self.number = number
        self.descriptor = descriptor
        self.folder = folder
    }

    /// Takes the first device that nobody uses. Another user's device is never touched: it has a size, a process (sysfs
    /// `size`, `pid`), or a lock.
    ///
    /// - Throws: ``DeviceError`` where all are in use.
    public static func claim() throws(DeviceError) -> NBDDevice {
        for index in 0..<4096 {
            let folder = "/sys/block/nbd\(index)"
            guard access(folder, F_OK) == 0 else { break }
            guard isFree(folder) else { continue }
            let path = "/dev/nbd\(index)"
            let descriptor = open(path, O_RDWR | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, isFree(folder) else {
                close(descriptor)
                continue
            }
            do throws(DeviceError) {
                let number = try DeviceNumber(ofNode: path)
                return NBDDevice(
                    path: path, number: number, descriptor: FileDescriptor(rawValue: descriptor), folder: folder)
            } catch {
                close(descriptor)
                throw error
            }
        }
        throw noneFree
    }

    /// What ``claim()`` throws where every device is in use.
    public static let noneFree = DeviceError(
        path: "/dev/nbd*", operation: "claim", code: .resourceBusy,
        advice: "every nbd device is in use; disconnect one, or use --engine fuse")

    /// Whether the kernel has the device connected and knows its size.
    public var isConnected: Bool { !Self.isFree(folder) && Self.size(folder) > 0 }

    /// Whether size and process are gone. The size stays stale while somebody holds the device open.
    public var isGone: Bool { Self.isFree(folder) }

    /// Makes the kernel forget the partitions that it found when the device was connected. We map what we need ourselves; the
    /// host's LVM, which heeds no lock, would see volume groups in them.
    ///
    /// - Parameter timeout: for how long to try again while somebody has a partition open; it is left to the kernel then.
    public func forgetPartitions(timeout: Duration = .seconds(5)) throws(DeviceError) {
        // The kernel wants its scan under the mutex that each nbd ioctl takes. This one does nothing else than wait for it.
        guard ioctl(descriptor.rawValue, shim_NBD_CLEAR_QUE(), 0) == 0 else { throw .current(path, "NBD_CLEAR_QUE") }
        // It scans at the next open: this one, so that there is none afterwards.
        _ = try OwnedDescriptor(opening: path, O_RDONLY)
        let name = path.split(separator: "/").last ?? ""
        var backoff = Backoff(timeout)
        for number in Int32(1)..<256 where access("\(folder)/\(name)p\(number)", F_OK) == 0 {
            while shim_delete_partition(descriptor.rawValue, number) != 0, errno == EBUSY, backoff.pause() {}
        }
    }

    /// Waits until everything written is at the server, and on its disk.
    ///
    /// - Throws: also the failure of any write since the device was claimed, whoever wrote.
    public func sync() throws(DeviceError) {
        guard fsync(descriptor.rawValue) == 0 else { throw .current(path, "fsync") }
    }

    /// Gives the lock and the device back.
    public func release() {
        close(descriptor.rawValue)
    }

    private static func isFree(_ folder: String) -> Bool {
        access("\(folder)/pid", F_OK) != 0 && size(folder) == 0
    }

    private static func size(_ folder: String) -> UInt64 {
        Files.line(of: "\(folder)/size").flatMap(UInt64.init) ?? 0
    }
}
