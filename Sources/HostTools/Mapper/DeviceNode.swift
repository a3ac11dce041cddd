import CLinux
import Glibc
public import SystemPackage

/// A device node of our own, in a folder of our own: what a sandboxed checker gets to see, owned by whom it runs as.
public struct DeviceNode: Hashable, Sendable, Codable {
    /// Where it is.
    public let path: String
    /// What it stands for.
    public let device: DeviceNumber

    /// Makes a block device node. The umask plays no part.
    ///
    /// - Parameters:
    ///   - path: must not exist; its folder must.
    ///   - owner: user id of its owner.
    ///   - group: group id of its owner.
    ///   - mode: its permissions.
    /// - Throws: what `mknod`, `chown` or `chmod` said; no node is left then.
    public static func create(
        at path: String, for device: DeviceNumber, owner: UInt32 = 0, group: UInt32 = 0,
        mode: FilePermissions = [.ownerReadWrite]
    ) throws(DeviceError) -> DeviceNode {
        guard mknod(path, S_IFBLK, device.dev) == 0 else { throw .current(path, "mknod") }
        // Owner first: until the mode is set nobody but root can open it.
        guard lchown(path, owner, group) == 0 else {
            throw removing(path, .current(path, "chown"))
        }
        guard chmod(path, mode.rawValue) == 0 else {
            throw removing(path, .current(path, "chmod"))
        }
        return DeviceNode(path: path, device: device)
    }

    /// Deletes the node. One that is gone already is fine.
    public func remove() throws(DeviceError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .current(path, "unlink") }
    }

    private static func removing(_ path: String, _ error: DeviceError) -> DeviceError {
        unlink(path)
        return error
    }
}
