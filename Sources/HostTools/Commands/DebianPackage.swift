/// Which Debian package brings a program: an error that names it is half the way out.
public enum DebianPackage {
    /// The package for `program`, or nil where it is none of those that we call.
    public static func providing(_ program: String) -> String? {
        packages[program]
    }

    private static let packages: [String: String] = [
        "qemu-img": "qemu-utils",
        "qemu-nbd": "qemu-utils",
        "qemu-storage-daemon": "qemu-system-common",
        "lvm": "lvm2",
        "e2fsck": "e2fsprogs",
        "debugfs": "e2fsprogs",
        "fsck.fat": "dosfstools",
        "xfs_repair": "xfsprogs",
        "btrfs": "btrfs-progs",
        "ntfs-3g.probe": "ntfs-3g",
        "bwrap": "bubblewrap",
        "setpriv": "util-linux",
        "prlimit": "util-linux",
        "choom": "util-linux",
        "modprobe": "kmod",
        "sleep": "coreutils",
    ]
}
