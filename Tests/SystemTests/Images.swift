import Foundation
import TestSupport

/// A disk of a domain, a file in ``VM/scratch``.
struct Disk {
    var path: String
    var format = "raw"
    var sectorSize = 512

    /// An empty raw disk.
    static func make(_ name: String, size: Int, sectorSize: Int = 512) throws -> Disk {
        let path = "\(VM.scratch)/\(name)"
        try? FileManager.default.removeItem(atPath: path)
        guard FileManager.default.createFile(atPath: path, contents: nil) else { throw TestProblem(path) }
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.truncate(atOffset: UInt64(size))
        try file.close()
        return Disk(path: path, sectorSize: sectorSize)
    }

    /// Writes bytes at an offset of a raw disk.
    func write(_ bytes: Data, at offset: Int) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        defer { try? file.close() }
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: bytes)
    }

    /// Everything on a raw disk.
    func content() throws -> Data { try Data(contentsOf: URL(filePath: path)) }

    /// The same content as a disk of another name and format.
    func copy(_ name: String, format: String) async throws -> Disk {
        let copy = Disk(path: "\(VM.scratch)/\(name)", format: format, sectorSize: sectorSize)
        try await Tool.output(of: "qemu-img", ["convert", "-f", self.format, "-O", format, path, copy.path])
        return copy
    }

    /// What the guest would read.
    func guestView() async throws -> Data {
        guard format != "raw" else { return try content() }
        let raw = try await copy("view.raw", format: "raw")
        defer { raw.remove() }
        return try raw.content()
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}

/// A filesystem with real damage, and what the bare checker makes of it.
struct DamagedFilesystem {
    /// The damaged filesystem.
    var damaged: Data
    /// The same after the bare checker's repair.
    var repaired: Data
    private var isExt = false

    /// An ext2, ext3 or ext4 with a file whose inode was cleared. Its superblock says clean. One block group: only the
    /// first superblock is ever written.
    static func ext(_ type: String, size: Int) async throws -> DamagedFilesystem {
        try await make("ext", size: size, check: ["e2fsck", "-f", "-y"]) { path in
            try await Tool.output(of: "mke2fs", ["-q", "-t", type, "-b", "4096", path])
            // More than ten times as many as are lost: no heavy loss.
            let folders = (1...12).map { "mkdir d\($0)\n" }.joined()
            try await Tool.output(
                of: "debugfs", ["-w", "-f", "-", path], input: "write /etc/services a\n\(folders)clri a\n")
        }
    }

    /// A FAT whose two tables differ.
    static func vfat(size: Int) async throws -> DamagedFilesystem {
        try await make("vfat", size: size, check: ["fsck.fat", "-a"]) { path in
            try await Tool.output(of: "mkfs.fat", [path])
            let disk = Disk(path: path)
            let boot = try disk.content().prefix(512)
            let reserved = Int(boot[14]) | Int(boot[15]) << 8
            let sectorsOfTable = Int(boot[22]) | Int(boot[23]) << 8
            try disk.write(Data([0xFF, 0x0F]), at: (reserved + sectorsOfTable) * 512 + 8)
        }
    }

    /// An XFS whose root folder has a wrong number of links.
    static func xfs(size: Int) async throws -> DamagedFilesystem {
        try await make("xfs", size: size, check: ["xfs_repair", "-e"]) { path in
            try await Tool.output(of: "mkfs.xfs", ["-q", "--unsupported", path])
            try await Tool.output(of: "xfs_db", ["-x", "-c", "inode 128", "-c", "write core.nlinkv2 7", path])
        }
    }

    /// Whether some bytes are what the bare checker made, the instant of its run aside.
    func isRepaired(_ bytes: Data) -> Bool {
        let exts = isExt ? [0] : []
        return bytes.withoutTimes(ofExtAt: exts) == repaired.withoutTimes(ofExtAt: exts)
    }

    private static func make(
        _ name: String, size: Int, check: [String], _ build: (String) async throws -> Void
    ) async throws -> DamagedFilesystem {
        let disk = try Disk.make("\(name).filesystem", size: size)
        defer { disk.remove() }
        try await build(disk.path)
        let damaged = try disk.content()
        try await Tool.output(of: check[0], check.dropFirst() + [disk.path], allowed: [1, 4])
        let repaired = try disk.content()
        guard damaged != repaired else { throw TestProblem("\(name): was not damaged") }
        return DamagedFilesystem(damaged: damaged, repaired: repaired, isExt: name == "ext")
    }
}

/// Layouts with LVM. The metadata is made by lvm without device-mapper, and under the devices' lock: nothing is activated.
enum LVMLayout {
    /// Runs lvm's commands on files; `@0`, `@1` … in the commands stand for their devices.
    static func make(_ files: [String], _ commands: [[String]]) async throws {
        let script = #"""
            set -e
            loops=()
            for file in "${@:2}"; do
                loop=$(losetup --find --show "$file")
                exec {lock}<"$loop"
                flock "$lock"
                loops+=("$loop")
            done
            devices=$(IFS=,; echo "${loops[*]}")
            while read -r command; do
                for index in "${!loops[@]}"; do command=${command//@$index/${loops[index]}}; done
                lvm $command --driverloaded n --devices "$devices" --config '
                    devices { obtain_device_list_from_udev=0 external_device_info_source="none" hints="none" }
                    backup { backup=0 archive=0 } activation { monitoring=0 udev_sync=0 udev_rules=0 }'
            done <<<"$1"
            losetup --detach "${loops[@]}"
            """#
        try await Tool.output(
            of: "bash",
            ["-c", script, "bash", commands.map { $0.joined(separator: " ") }.joined(separator: "\n")] + files,
            environment: ["LVM_SUPPRESS_FD_WARNINGS": "1"])
        let isGone = await eventually {
            HostSnapshot.take().loops.allSatisfy { loop in !files.contains { loop.hasSuffix($0) } }
        }
        guard isGone else { throw TestProblem("loop devices stay: \(HostSnapshot.take())") }
    }

    /// Arguments of lvcreate that don't want device-mapper.
    static let lvcreate = ["lvcreate", "-an", "-Zn", "-Wn", "-y"]
}

/// The manual recipe's own layout: an MBR, a boot partition from sector 63 on, and a physical volume with root and swap.
struct RecipeDisk {
    static let partition1 = 63 * 512..<20480 * 512
    static let partition2 = 20480 * 512..<131072 * 512
    /// The first extent is 1 MiB into the physical volume.
    static let root = partition2.lowerBound + (1 << 20)..<partition2.lowerBound + (25 << 20)
    static let swap = root.upperBound..<root.upperBound + (8 << 20)

    let raw: Disk
    let filesystem: DamagedFilesystem

    /// Made once; tests copy it.
    static func shared() async throws -> RecipeDisk { try await made.value }

    private static let made = Task {
        let volume = try Disk.make("recipe.pv", size: partition2.count)
        try await LVMLayout.make(
            [volume.path],
            [
                ["vgcreate", "VolGroup00", "@0"], LVMLayout.lvcreate + ["-L", "24M", "-n", "LogVol00", "VolGroup00"],
                LVMLayout.lvcreate + ["-L", "8M", "-n", "LogVol01", "VolGroup00"],
            ])
        let boot = try Disk.make("recipe.boot", size: partition1.count)
        try await Tool.output(of: "mke2fs", ["-q", "-t", "ext3", boot.path])
        let swap = try Disk.make("recipe.swap", size: Self.swap.count)
        try await Tool.output(of: "mkswap", [swap.path])
        let disk = try Disk.make("recipe.raw", size: 64 << 20)
        try await Tool.output(
            of: "sfdisk", ["--quiet", disk.path],
            input: "label: dos\nstart=63, size=20417, type=83, bootable\nstart=20480, size=110592, type=8e\n")
        let filesystem = try await DamagedFilesystem.ext("ext4", size: root.count)
        try disk.write(boot.content(), at: partition1.lowerBound)
        try disk.write(volume.content(), at: partition2.lowerBound)
        try disk.write(filesystem.damaged, at: root.lowerBound)
        try disk.write(swap.content(), at: Self.swap.lowerBound)
        for part in [volume, boot, swap] { part.remove() }
        return RecipeDisk(raw: disk, filesystem: filesystem)
    }

    /// Whether what the guest sees is the damaged disk with nothing but its root repaired as the bare checker does it. The
    /// boot partition beside it is clean; that it was checked is written into its superblock.
    func isRepaired(_ view: Data) throws -> Bool {
        var expected = try raw.content()
        expected.replaceSubrange(Self.root, with: filesystem.repaired)
        let filesystems = [Self.root.lowerBound, Self.partition1.lowerBound]
        return view.withoutTimes(ofExtAt: filesystems) == expected.withoutTimes(ofExtAt: filesystems)
    }
}

extension Data {
    /// The same without the instant of the last check: s_wtime, s_lastcheck and s_checksum of the superblock (ext4's
    /// on-disk format).
    func withoutTimes(ofExtAt offsets: [Int]) -> Data {
        var bytes = Data(self)
        for offset in offsets {
            for field in [0x430..<0x434, 0x440..<0x444, 0x7FC..<0x800] {
                bytes.replaceSubrange(
                    offset + field.lowerBound..<offset + field.upperBound, with: Data(count: field.count))
            }
        }
        return bytes
    }
}
