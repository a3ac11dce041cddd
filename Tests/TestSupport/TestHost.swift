import Foundation
import Glibc

/// What this machine can do for the tests.
public enum TestHost {
    /// How disks can be attached here, by their names on the command line. The kernel of the build machine has no nbd; the
    /// VM of the system tests has.
    public static let engines: [String] = {
        var engines: [String] = []
        if hasModule("nbd", sign: "/sys/module/nbd"), Tool.path(of: "qemu-nbd") != nil { engines.append("nbd") }
        if hasModule("fuse", sign: "/sys/class/misc/fuse"), hasModule("loop", sign: "/sys/class/misc/loop-control") {
            engines.append("fuse")
        }
        return engines
    }()

    /// Whether the kernel has device-mapper, or a module of it.
    public static let hasDeviceMapper = hasModule("dm_mod", sign: "/sys/class/misc/device-mapper")

    /// Whether the tests can run at all: as root, with libvirt, QEMU and an engine.
    public static let isUsable: Bool = {
        let programs = [
            "libvirtd", "virsh", "qemu-img", "qemu-io", "qemu-storage-daemon", "qemu-system-x86_64", "bwrap", "setpriv",
            "mke2fs", "debugfs", "e2fsck", "mkfs.vfat", "fsck.fat", "mkfs.xfs", "xfs_repair", "sfdisk", "lvm",
            "unshare",
            "losetup", "flock",
        ]
        return getuid() == 0 && !engines.isEmpty && programs.allSatisfy { Tool.path(of: $0) != nil }
            && VirtFsck.program != nil
    }()

    /// The folder that everything of this test process is in. Not in /tmp, which may be a tmpfs; every user may search it,
    /// because qemu's user must.
    public static let folder: String = {
        let parent = ProcessInfo.processInfo.environment["VIRT_FSCK_TEST_DIR"] ?? "/var/tmp"
        let path = "\(parent)/virt-fsck-tests-\(getpid())"
        try? FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        return path
    }()

    private static func hasModule(_ module: String, sign: String) -> Bool {
        if access(sign, F_OK) == 0 { return true }
        guard let modprobe = Tool.path(of: "modprobe") else { return false }
        let process = Process()
        process.executableURL = URL(filePath: modprobe)
        process.arguments = ["--dry-run", "--quiet", module]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
