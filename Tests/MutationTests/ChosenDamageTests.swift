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
            let repaired = "\(path).repaired"
            try await Tool.output(of: "cp", ["--sparse=always", path, repaired])
            _ = try await Tool.run("xfs_repair", ["-e", repaired])
            try #expect(await Filesystem.xfs.isSound(repaired))
            let count = try LossMeasurement.count(of: "xfs", original: path, repaired: repaired)
            for file in [path, repaired] { try FileManager.default.removeItem(atPath: file) }
            return count
        }
        let light = try await measure(Self.miscount)
        #expect(light.before == 216, "\(light)")
        #expect(light.level == "none", "\(light)")
        let heavy = try await measure(Self.loseListAndRoot)
        #expect(heavy.before == 216, "\(heavy)")
        #expect(heavy.level == "heavy", "\(heavy)")
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
        let repaired = "\(path).repaired"
        try FileHandle.update(path) { file in
            let boot = try file.bytes(at: 0, count: 64)
            func number(_ offset: Int, _ length: Int) -> Int {
                (0..<length).reduce(0) { $0 | Int(boot[offset + $1]) << (8 * $1) }
            }
            let data = (number(14, 2) + Int(boot[16]) * number(36, 4)) * 512
            try file.write([UInt8](repeating: 0, count: 512), at: data + (number(44, 4) - 2) * 512)
        }
        try await Tool.output(of: "cp", [path, repaired])
        _ = try await Tool.run("fsck.fat", ["-a", repaired])
        let count = try LossMeasurement.count(of: "vfat", original: path, repaired: repaired)
        #expect(count.before == 3)
        #expect(count.after == 0)
        #expect(count.unnamed == 0)
        for file in [path, repaired, loader] { try FileManager.default.removeItem(atPath: file) }
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
