import CLinux
import Glibc
import Synchronization
public import SystemPackage

/// A loop device over an open file.
///
/// From before it has content until after it has lost it, it is locked (`flock`, exclusive, on the whole device): systemd's
/// block device locking rule, without which udev activates the LVM and the MD arrays of a guest. The kernel takes it down by
/// itself (autoclear) when its last user is gone, this process included.
public final class LoopDevice: Sendable {
    /// The 3 of /dev/loop3.
    public let number: Int
    /// The device's node.
    public let path: String
    /// The device.
    public let deviceNumber: DeviceNumber
    /// Whether the kernel does direct I/O on the backing file. It silently doesn't where the file's filesystem can't, or
    /// wants larger blocks than the sector size.
    public let usesDirectIO: Bool

    private let backing: Backing
    private let state: Mutex<State>

    private init(_ node: consuming LockedNode, usesDirectIO: Bool, backing: Backing) {
        self.number = node.number
        self.path = node.path
        self.deviceNumber = node.device
        self.usesDirectIO = usesDirectIO
        self.backing = backing
        self.state = Mutex(State(node: node))
    }

    /// Puts a free loop device over `file`: locks it first, then gives it the content, all on one descriptor
    /// (`LOOP_CONFIGURE`, Linux 5.8).
    ///
    /// - Parameters:
    ///   - file: the backing file; it may be closed afterwards.
    ///   - access: `.readWrite` needs a `file` open for writing.
    ///   - sectorSize: logical sector size in bytes, 512 or 4096: what the guest's partition table and filesystems count in.
    ///   - timeout: for how long to look for a free device that nobody else grabs first.
    /// - Throws: a missing /dev/loop-control (the module isn't loaded) and what the ioctls said.
    public static func attach(
        _ file: FileDescriptor, access: DeviceAccess = .readWrite, sectorSize: Int = 512,
        timeout: Duration = .seconds(10)
    ) throws(DeviceError) -> LoopDevice {
        let control = try OwnedDescriptor(opening: controlPath, O_RDWR, advice: "load the module: modprobe loop")
        var backoff = Backoff(timeout)
        while true {
            do throws(DeviceError) {
                return try attach(file, access: access, sectorSize: sectorSize, control)
            } catch {
                guard lostRace.contains(error.code), backoff.pause() else { throw error }
            }
        }
    }

    /// The descriptor that holds the lock; open for reading and writing while the device is attached, close-on-exec.
    ///
    /// Whoever must keep udev away for longer than this process lives inherits a duplicate.
    ///
    /// - Throws: `EBADF` after ``detach(timeout:)``.
    public func withDescriptor<Value>(_ body: (FileDescriptor) throws -> Value) throws -> Value {
        try state.withLock { state in
            guard let descriptor = state.node?.descriptor.value else { throw detached("use") }
            return try body(FileDescriptor(rawValue: descriptor))
        }
    }

    /// Waits until everything written is in the backing file, and on its disk.
    ///
    /// - Throws: also the failure of any write since the device was attached, whoever wrote: that is the proof that nothing
    ///   was lost.
    public func sync() throws(DeviceError) {
        try call("fsync") { fsync($0) }
    }

    /// Writes out and forgets what the kernel has cached of the device (`BLKFLSBUF`): the next reader sees the backing file.
    public func flushBuffers() throws(DeviceError) {
        try call("BLKFLSBUF") { ioctl($0, shim_BLKFLSBUF(), 0) }
    }

    /// Takes the device down and waits until the kernel has let go of the file.
    ///
    /// It releases the lock with the content. May be called again when it failed: the kernel finishes the work by itself
    /// when the last user of the device is gone.
    ///
    /// - Parameter timeout: for how long to wait for other users of the device.
    /// - Throws: `EBUSY` where somebody still uses it then.
    public func detach(timeout: Duration = .seconds(10)) throws(DeviceError) {
        let outcome: Result<Void, DeviceError> = state.withLock { state in
            guard let node = state.node.take() else { return .success(()) }
            guard ioctl(node.descriptor.value, UInt(LOOP_CLR_FD), 0) == 0 || errno == ENXIO else {
                let error = DeviceError.current(path, "LOOP_CLR_FD")
                state.node = consume node
                return .failure(error)
            }
            return .success(())
        }
        try outcome.get()
        var backoff = Backoff(timeout)
        while try isStillOurs() {
            guard backoff.pause() else {
                throw DeviceError(
                    path: path, operation: "detach", code: .resourceBusy,
                    advice: "something still uses it (see /sys/block/loop\(number)/holders)")
            }
        }
    }

    private func isStillOurs() throws(DeviceError) -> Bool {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT: return false
            // The kernel is just taking it down.
            case ENXIO, EBUSY: return true
            default: throw .current(path, "open")
            }
        }
        let node = OwnedDescriptor(descriptor)
        guard let status = LoopStatus(node.value) else { return false }
        // Somebody else may have got the number meanwhile.
        return status.backing == backing
    }

    private func call(_ name: String, _ body: (Int32) -> Int32) throws(DeviceError) {
        let outcome: Result<Void, DeviceError> = state.withLock { state in
            guard let descriptor = state.node?.descriptor.value else { return .failure(detached(name)) }
            return body(descriptor) == 0 ? .success(()) : .failure(.current(path, name))
        }
        try outcome.get()
    }

    private func detached(_ operation: String) -> DeviceError {
        DeviceError(path: path, operation: "\(operation) after detach", code: .badFileDescriptor)
    }

    /// What the kernel has open below a loop device; nil where there is nothing, or it can't be asked.
    static func backing(of device: DeviceNumber) -> StorageNode? {
        guard let node = try? OwnedDescriptor(opening: "/dev/loop\(device.minor)", O_RDONLY | O_NONBLOCK),
            (try? DeviceNumber(ofNode: "/dev/loop\(device.minor)")) == device, let status = LoopStatus(node.value)
        else { return nil }
        let backing = status.backing
        // Of a file it is 0, or the filesystem's number once more (the kernel's drivers/block/loop.c).
        guard backing.specialDevice == 0 || backing.specialDevice == backing.device else {
            return .device(DeviceNumber(dev: UInt(backing.specialDevice)))
        }
        return .file(FileIdentity(device: backing.device, inode: backing.inode))
    }

    /// What lies under a loop device that begins where it begins, and ends where it ends; nil for every other device.
    static func wholeFile(under device: DeviceNumber) -> StorageNode? {
        let folder = "/sys/dev/block/\(device)/loop"
        guard Files.number(of: "\(folder)/offset") == 0, Files.number(of: "\(folder)/sizelimit") == 0 else {
            return nil
        }
        return backing(of: device)
    }

    private static let controlPath = "/dev/loop-control"

    /// Answers that mean: somebody else was quicker, or is looking at the device.
    private static let lostRace: Set<Errno> = [
        .resourceBusy, .wouldBlock, .resourceTemporarilyUnavailable, .noSuchAddressOrDevice,
    ]

    private static func attach(
        _ file: FileDescriptor, access: DeviceAccess, sectorSize: Int, _ control: borrowing OwnedDescriptor
    ) throws(DeviceError) -> LoopDevice {
        let number = ioctl(control.value, UInt(LOOP_CTL_GET_FREE))
        guard number >= 0 else { throw .current(controlPath, "LOOP_CTL_GET_FREE") }
        let node = try LockedNode(number: Int(number))
        var configuration = loop_config()
        configuration.fd = UInt32(bitPattern: file.rawValue)
        configuration.block_size = UInt32(sectorSize)
        configuration.info.lo_flags = UInt32(LO_FLAGS_DIRECT_IO | LO_FLAGS_AUTOCLEAR)
        if access == .readOnly {
            configuration.info.lo_flags |= UInt32(LO_FLAGS_READ_ONLY)
        }
        var status = ioctl(node.descriptor.value, UInt(LOOP_CONFIGURE), &configuration)
        if status != 0, errno == EINVAL {
            configuration.info.lo_flags &= ~UInt32(LO_FLAGS_DIRECT_IO)
            status = ioctl(node.descriptor.value, UInt(LOOP_CONFIGURE), &configuration)
        }
        guard status == 0 else { throw .current(node.path, "LOOP_CONFIGURE") }
        // A device that somebody had set to read-only (blockdev(8)) stays so when it gets another content.
        guard access == .readOnly || shim_set_read_only(node.descriptor.value, 0) == 0 else {
            throw .current(node.path, "BLKROSET")
        }
        guard let result = LoopStatus(node.descriptor.value) else { throw .current(node.path, "LOOP_GET_STATUS64") }
        return LoopDevice(node, usesDirectIO: result.usesDirectIO, backing: result.backing)
    }
}

private struct State: ~Copyable {
    var node: LockedNode?
}

/// What identifies the backing file.
private struct Backing: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64
    var specialDevice: UInt64
}

/// The answer to `LOOP_GET_STATUS64`; nil where the device has no content.
private struct LoopStatus {
    var backing: Backing
    var usesDirectIO: Bool

    init?(_ descriptor: Int32) {
        var info = loop_info64()
        guard ioctl(descriptor, UInt(LOOP_GET_STATUS64), &info) == 0 else { return nil }
        backing = Backing(device: info.lo_device, inode: info.lo_inode, specialDevice: info.lo_rdevice)
        usesDirectIO = info.lo_flags & UInt32(LO_FLAGS_DIRECT_IO) != 0
    }
}

/// An open and exclusively locked loop device node.
private struct LockedNode: ~Copyable {
    let number: Int
    let path: String
    let device: DeviceNumber
    let descriptor: OwnedDescriptor

    init(number: Int) throws(DeviceError) {
        let path = "/dev/loop\(number)"
        if access(path, F_OK) != 0 {
            try Self.makeNode(path, number: number)
        }
        let descriptor = try OwnedDescriptor(opening: path, O_RDWR)
        guard flock(descriptor.value, LOCK_EX | LOCK_NB) == 0 else { throw .current(path, "flock") }
        let device = try DeviceNumber(ofNode: path)
        self.number = number
        self.path = path
        self.device = device
        self.descriptor = descriptor
    }

    /// In a container /dev doesn't grow by itself.
    private static func makeNode(_ path: String, number: Int) throws(DeviceError) {
        let file = "/sys/block/loop\(number)/dev"
        guard let device = Files.line(of: file).flatMap(DeviceNumber.init) else {
            throw DeviceError(path: file, operation: "read", code: .ioError)
        }
        do throws(DeviceError) {
            _ = try DeviceNode.create(at: path, for: device)
        } catch {
            // Somebody else may have been quicker.
            guard error.code == .fileExists else { throw error }
        }
    }
}
