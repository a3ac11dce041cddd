import Foundation
import HostTools
import TestSupport
import Testing

/// Damage to that which lists files, so that a count could take what is left for all that there was.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct ChosenDamageTests {
    @Test(arguments: [Specimen.xfs, .xfsWholeChunks, .xfsManyGroups])
    func `files of an XFS are counted, though the group's list of inodes and the root folder are gone`(
        _ specimen: Specimen
    ) async throws {
        let result = try await trial(specimen, "no-list", Self.loseListAndRoot)
        #expect(result.hasPrefix("ok truth heavy"), "\(result)")
    }

    @Test(arguments: [Specimen.xfs, .xfsWholeChunks, .ext4Clusters])
    func `nothing is lost where only a number is wrong`(_ specimen: Specimen) async throws {
        let result = try await trial(specimen, "number", Self.miscount)
        #expect(result.hasPrefix("ok truth none"), "\(result)")
    }

    @Test func `files of an XFS without checksums are counted`() async throws {
        // Kernels of today can't mount it: what is measured of lighter damage says how many files there are.
        let path = "\(try Self.folder())/version-4"
        func measure(_ damage: (String) async throws -> String) async throws -> LossCount {
            try await Specimen.xfsVersion4.make(at: path)
            _ = try await damage(path)
            return try await Self.measure(.xfs, path)
        }
        let light = try await measure(Self.miscount)
        #expect(light.before == 216, "\(light)")
        #expect(light.level == "none", "\(light)")
        let heavy = try await measure(Self.loseListAndRoot)
        #expect(heavy.before == 216, "\(heavy)")
        #expect(heavy.level == "heavy", "\(heavy)")
    }

    @Test(arguments: [Specimen.ext4, .ext4WithoutChecksums, .xfs])
    func `a file that was deleted while it was open is nobody's loss`(_ specimen: Specimen) async throws {
        let path = "\(try Self.folder())/\(specimen)-open"
        try await specimen.make(at: path)
        let script = #"""
            set -euo pipefail
            place=$1.mount
            mkdir "$place"
            mount -o loop "$1" "$place"
            trap 'umount "$place"; rmdir "$place"' EXIT
            for i in $(seq 200 250); do head -c $((i * 50)) /dev/zero > "$place/open$i"; done
            for i in $(seq 200 250); do eval "exec $i< '$place/open$i'"; rm "$place/open$i"; done
            fsfreeze --freeze "$place"
            cp --sparse=always "$1" "$1.cut" || true
            fsfreeze --unfreeze "$place"
            for i in $(seq 200 250); do eval "exec $i<&-"; done
            """#
        try await Tool.output(of: "bash", ["-c", script, "bash", path])
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: "\(path).cut", toPath: path)
        let count = try await Self.measure(specimen.filesystem, path)
        #expect(count.before == 216, "\(count)")
        #expect(count.level == "none", "\(count)")
    }

    /// Repairs a copy by the bare checker, and measures; both files are removed.
    private static func measure(_ kind: Filesystem, _ path: String) async throws -> LossCount {
        let repaired = "\(path).repaired"
        try await Tool.output(of: "cp", ["--sparse=always", path, repaired])
        switch kind {
        case .xfs: _ = try await Tool.run("xfs_repair", ["-L", repaired])
        case .vfat: _ = try await Tool.run("fsck.fat", ["-a", repaired])
        default: _ = try await Tool.run("e2fsck", ["-f", "-y", repaired])
        }
        try #expect(await kind.isSound(repaired))
        let count = try LossMeasurement.count(of: kind.rawValue, original: path, repaired: repaired)
        for file in [path, repaired] { try FileManager.default.removeItem(atPath: file) }
        return count
    }

    /// The first group's list of inodes, and the root folder.
    private static func loseListAndRoot(of path: String) async throws -> String {
        let root = try await Tool.output(
            of: "xfs_db", ["-r", "-c", "sb 0", "-c", "addr rootino", "-c", "daddr", path])
        let place = try #require(Int(root.split(whereSeparator: \.isWhitespace).last ?? ""))
        try FileHandle.update(path) { file in
            try file.write([UInt8](repeating: 0, count: 512), at: 1024)
            try file.write([UInt8](repeating: 0, count: 512), at: place * 512)
        }
        return "no list of inodes, no root inode"
    }

    private static func miscount(in path: String) async throws -> String {
        if try FileHandle.read(path, { try $0.bytes(at: 0, count: 4) }) == Array("XFSB".utf8) {
            try await Tool.output(of: "xfs_db", ["-x", "-c", "agi 0", "-c", "write freecount 1", path])
        } else {
            try await Filesystem.debugfs(path, "ssv free_inodes_count 7")
        }
        return "a wrong number of free inodes"
    }

    @Test func `old copies of descriptors hide no file`() async throws {
        // Without checksums of inodes only the descriptors say which were ever used; their copies are those of an empty filesystem.
        let result = try await trial(.ext4WithoutChecksums, "old-copies") { path in
            let empty = "\(path).empty"
            try await Tool.output(of: "cp", ["--sparse=always", path, empty])
            let uuid = "00000000-0000-4000-8000-000000000002"
            try await Tool.output(
                of: "mke2fs",
                ["-q", "-F", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg", "-U", uuid, empty])
            let block = 1024
            let group = 8192 * block
            try FileHandle.read(empty) { source in
                try FileHandle.update(path) { file in
                    for copy in [1, 3] {
                        let place = block + copy * group
                        try file.write(try source.bytes(at: place, count: 2 * block), at: place)
                    }
                    try file.write([UInt8](repeating: 0, count: 2 * block), at: block)
                }
            }
            try await Tool.output(of: "debugfs", ["-w", "-s", "8193", "-b", "1024", "-R", "clri <2>", path])
            try FileManager.default.removeItem(atPath: empty)
            return "descriptors of an empty filesystem"
        }
        #expect(!result.hasPrefix("MISSED"), "\(result)")
        #expect(result.contains("truth heavy"), "\(result)")
    }

    @Test func `files whose folder entries are gone are counted on a small FAT`() async throws {
        let folder = try Self.folder()
        let path = "\(folder)/esp"
        try DiskSet.createSparse(path, size: 40 << 20)
        try await Tool.output(of: "mkfs.vfat", ["-F", "32", "-s", "1", path])
        let loader = "\(path).efi"
        try Data((0..<90_000).map { UInt8(truncatingIfNeeded: $0 / 3) }).write(to: URL(filePath: loader))
        try await Tool.output(of: "mmd", ["-i", path, "::EFI", "::EFI/BOOT"])
        try await Tool.output(of: "mcopy", ["-i", path, loader, "::EFI/BOOT/BOOTX64.EFI"])
        try FileManager.default.removeItem(atPath: loader)
        try FileHandle.update(path) { file in
            let boot = try file.bytes(at: 0, count: 64)
            func number(_ offset: Int, _ length: Int) -> Int {
                (0..<length).reduce(0) { $0 | Int(boot[offset + $1]) << (8 * $1) }
            }
            let data = (number(14, 2) + Int(boot[16]) * number(36, 4)) * 512
            try file.write([UInt8](repeating: 0, count: 512), at: data + (number(44, 4) - 2) * 512)
        }
        let count = try await Self.measure(.vfat, path)
        #expect(count.before == 3)
        #expect(count.after == 0)
        #expect(count.unnamed == 0)
    }

    private static func folder() throws -> String {
        let folder = "\(TestHost.folder)/chosen"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }

    private func trial(
        _ specimen: Specimen, _ name: String, _ damage: (String) async throws -> String
    ) async throws -> String {
        try await LossTrial(specimen: specimen, path: "\(Self.folder())/\(specimen)-\(name)").run(damage)
    }
}
