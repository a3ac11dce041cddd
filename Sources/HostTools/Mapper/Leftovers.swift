import CLinux
import Glibc

/// Devices that a run which was killed left behind, by the names that only that run gave.
public enum Leftovers {
    /// Names of the device-mapper devices whose name begins with `prefix` (sysfs: `dm/name`).
    public static func mappings(prefix: String) -> [String] {
        Files.entries(of: "/sys/block").compactMap { Files.line(of: "/sys/block/\($0)/dm/name") }
            .filter { $0.hasPrefix(prefix) }
    }

    /// Nodes of the loop devices over files in `folder` (sysfs: `loop/backing_file`).
    public static func loopDevices(over folder: String) -> [String] {
        Files.entries(of: "/sys/block").filter { device in
            Files.line(of: "/sys/block/\(device)/loop/backing_file")?.hasPrefix(folder + "/") ?? false
        }.map { "/dev/\($0)" }
    }

    /// Takes a loop device down as soon as nobody uses it any more; one that is down already is fine.
    ///
    /// - Throws: ``DeviceError``.
    public static func detach(loopDevice path: String) throws(DeviceError) {
        let node = try OwnedDescriptor(opening: path, O_RDONLY)
        guard ioctl(node.value, UInt(LOOP_CLR_FD), 0) == 0 || errno == ENXIO else {
            throw .current(path, "LOOP_CLR_FD")
        }
    }
}
