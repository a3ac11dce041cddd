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
        var isSound = false
        for _ in 0..<3 where !isSound {
            switch kind {
            case .xfs: _ = try await Tool.run("xfs_repair", ["-L", repaired])
            case .vfat: _ = try await Tool.run("fsck.fat", ["-a", repaired])
            default: _ = try await Tool.run("e2fsck", ["-f", "-y", repaired])
            }
            isSound = try await kind.isSound(repaired)
        }
        #expect(isSound)
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

    /// What a single mistake does, and what it costs: a level and, of all files, how many were there.
    @Test(arguments: Single.allCases)
    func `a mistake in one place costs what it costs`(_ single: Single) async throws {
        let path = "\(try Self.folder())/single-\(single)"
        try await single.specimen.make(at: path)
        try await single.damage(path)
        let count = try await Self.measure(single.specimen.filesystem, path)
        #expect(count.level == single.level, "\(count)")
        #expect(!single.isCounted || count.before == 216, "\(count)")
    }

    enum Single: String, CaseIterable, CustomTestStringConvertible, Sendable {
        case rootWithTimeOfDeletion, rootWithoutLinks, fileWithTimeOfDeletion, tableAndMapOfInodes, extentBlocks,
            listAndInodesOfXFS, lostJournal, badSectorOfFAT, cutFolderOfFAT, emptiedFileOfFAT, countOfGroup,
            mapOfInodes,
            descriptorAndTable, descriptorAndTableWithChecksums, oldDescriptor, oldDescriptorWithChecksums,
            flagsOfGroup, groupOfXFS, tornJournal

        var testDescription: String { rawValue }

        var specimen: Specimen {
            switch self {
            case .rootWithTimeOfDeletion, .fileWithTimeOfDeletion, .extentBlocks, .flagsOfGroup: .ext4SmallBlocks
            case .descriptorAndTableWithChecksums, .oldDescriptorWithChecksums: .ext4
            case .tableAndMapOfInodes, .countOfGroup, .mapOfInodes, .descriptorAndTable, .oldDescriptor: .ext3
            case .lostJournal, .tornJournal: .ext4WithJournal
            case .rootWithoutLinks, .listAndInodesOfXFS: .xfs
            case .groupOfXFS: .xfsVersion4
            case .badSectorOfFAT, .cutFolderOfFAT, .emptiedFileOfFAT: .fat16
            }
        }

        var level: String {
            switch self {
            case .rootWithTimeOfDeletion, .rootWithoutLinks, .countOfGroup, .mapOfInodes: "none"
            case .lostJournal, .fileWithTimeOfDeletion, .extentBlocks, .emptiedFileOfFAT, .badSectorOfFAT,
                .flagsOfGroup:
                "minor"
            case .tableAndMapOfInodes, .descriptorAndTable, .descriptorAndTableWithChecksums, .oldDescriptor,
                .oldDescriptorWithChecksums, .tornJournal, .listAndInodesOfXFS,
                .groupOfXFS,
                .cutFolderOfFAT:
                "heavy"
            }
        }

        /// Whether all files are known.
        var isCounted: Bool {
            specimen.filesystem != .vfat && specimen != .ext4WithJournal && self != .listAndInodesOfXFS
                && self != .groupOfXFS
        }

        func damage(_ path: String) async throws {
            switch self {
            case .rootWithTimeOfDeletion:
                try await Filesystem.debugfs(path, "set_inode_field <2> dtime 1700000000")
            case .countOfGroup:
                try await Filesystem.debugfs(path, "set_bg 0 free_inodes_count 3")
            case .fileWithTimeOfDeletion:
                try await Filesystem.debugfs(path, "set_inode_field /large dtime 1700000000")
            case .tornJournal:
                let text = try await Tool.output(of: "debugfs", ["-R", "blocks <8>", path])
                let blocks = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
                try FileHandle.update(path) { file in
                    // The first descriptor.
                    for block in blocks.dropFirst()
                    where try file.bytes(at: block * 1024, count: 8).elementsEqual([0xC0, 0x3B, 0x39, 0x98, 0, 0, 0, 1])
                    {
                        try file.write([UInt8](repeating: 0, count: 1024), at: block * 1024)
                        return
                    }
                    Issue.record("the journal holds nothing")
                }
            case .flagsOfGroup:
                let text = try await Tool.output(of: "debugfs", ["-R", "blocks /big", path])
                let block = try #require(text.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) })
                try FileHandle.update(path) { file in
                    // A flag of the first group, and a checksum of the names in a folder: each can be read without.
                    for place in [2048 + 0x12, block * 1024 + 1023] {
                        try file.write([try file.bytes(at: place, count: 1)[0] ^ 0x04], at: place)
                    }
                }
            case .groupOfXFS:
                // What lists its inodes, and these.
                try FileHandle.update(path) { file in
                    try file.write([UInt8](repeating: 0, count: (8 << 20) - 1024), at: (16 << 20) + 1024)
                }
            case .descriptorAndTable, .descriptorAndTableWithChecksums, .oldDescriptor, .oldDescriptorWithChecksums:
                let size = specimen == .ext3 ? 1024 : 4096
                let text = try await Tool.output(of: "dumpe2fs", [path])
                let part = "Inode table at "
                let start = try #require(text.firstRange(of: part)?.upperBound)
                let table = try #require(Int(text[start...].prefix(while: \.isNumber))) * size
                let isOld = self == .oldDescriptor || self == .oldDescriptorWithChecksums
                try FileHandle.update(path) { file in
                    let place = max(size, 2048)
                    // What the copy in the second group says: mke2fs -d leaves it as it was before there were files.
                    let group = size == 1024 ? 8192 * size : 4096 * size
                    let copy = try file.bytes(at: place + group, count: 64)
                    try file.write(isOld ? copy : [UInt8](repeating: 0, count: 64), at: place)
                    try file.write([UInt8](repeating: 0, count: 64 * 1024), at: table + 4096)
                }
            case .lostJournal:
                let blocks = try await Tool.output(of: "debugfs", ["-R", "blocks <8>", path])
                let first = try #require(blocks.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) })
                try FileHandle.update(path) { try $0.write([UInt8](repeating: 0, count: 1024), at: first * 1024) }
            case .rootWithoutLinks:
                let words = ["sb 0", "addr rootino", "write -d core.nlinkv2 0"].flatMap { ["-c", $0] }
                try await Tool.output(of: "xfs_db", ["-x"] + words + [path])
            case .tableAndMapOfInodes, .mapOfInodes:
                // All but the first inodes, and what says which are used.
                let text = try await Tool.output(of: "dumpe2fs", [path])
                func place(_ part: String) throws -> Int {
                    let line = try #require(text.split(separator: "\n").first { $0.contains(part) })
                    let start = try #require(line.firstRange(of: part)?.upperBound)
                    return try #require(Int(line[start...].prefix(while: \.isNumber))) * 1024
                }
                let (map, table) = (try place("Inode bitmap at "), try place("Inode table at "))
                try FileHandle.update(path) { file in
                    try file.write([UInt8](repeating: 0, count: 1024), at: map)
                    guard self == .tableAndMapOfInodes else { return }
                    try file.write([UInt8](repeating: 0, count: 64 * 1024), at: table + 4 * 1024)
                }
            case .extentBlocks:
                // Two files of 216 lose their blocks.
                try await Filesystem.debugfs(
                    path, "set_inode_field /large block[0] 0", "set_inode_field /kernel block[0] 0")
            case .listAndInodesOfXFS:
                let inode = try await Tool.output(of: "xfs_db", ["-r", "-c", "path /big", "-c", "inode", path])
                let number = try #require(UInt64(inode.split(whereSeparator: \.isWhitespace).last ?? ""))
                for first in stride(from: number / 64 * 64, to: number / 64 * 64 + 192, by: 8) {
                    let words = ["inode \(first)", "daddr"].flatMap { ["-c", $0] }
                    let text = try await Tool.output(of: "xfs_db", ["-r"] + words + [path])
                    let place = Int(text.split(whereSeparator: \.isWhitespace).last ?? "") ?? 0
                    guard place > 100 else { continue }
                    try FileHandle.update(path) { try $0.write([UInt8](repeating: 0, count: 4096), at: place * 512) }
                }
                let group = number >> 20 == 0 ? 0 : 1
                try FileHandle.update(path) { file in
                    for place in [1024, (16 << 20) + 1024] where group == 0 || place > 1024 {
                        try file.write([UInt8](repeating: 0, count: 512), at: place)
                    }
                }
            case .badSectorOfFAT, .cutFolderOfFAT, .emptiedFileOfFAT:
                try FileHandle.update(path) { file in
                    let boot = try file.bytes(at: 0, count: 64)
                    func number(_ offset: Int, _ length: Int = 2) -> Int {
                        (0..<length).reduce(0) { $0 | Int(boot[offset + $1]) << (8 * $1) }
                    }
                    let tables = number(14) * 512
                    let length = number(22) * 512
                    let root = tables + Int(boot[16]) * length
                    let entries = try file.bytes(at: root, count: number(17) * 32)
                    func entry(_ name: String) -> Int? {
                        stride(from: 0, to: entries.count, by: 32).first {
                            String(decoding: entries[$0..<$0 + 11], as: UTF8.self).hasPrefix(name)
                                && entries[$0 + 11] != 0x0F
                        }
                    }
                    switch self {
                    case .badSectorOfFAT:
                        // In the second table, where nothing is used.
                        try file.write([UInt8](repeating: 0x33, count: 512), at: tables + 2 * length - 1024)
                    case .emptiedFileOfFAT:
                        let place = try #require(entry("KERNEL"))
                        try file.write([0, 0, 0, 0], at: root + place + 28)
                    default:
                        let place = try #require(entry("BIG"))
                        let cluster = Int(entries[place + 26]) | Int(entries[place + 27]) << 8
                        for table in 0..<Int(boot[16]) {
                            try file.write([0, 0], at: tables + table * length + cluster * 2)
                        }
                    }
                }
            }
        }
    }

    @Test func `what fast commits hold is no heavy loss`() async throws {
        let path = "\(try Self.folder())/fast-commits"
        try DiskSet.createSparse(path, size: 64 << 20)
        try await Tool.output(of: "mke2fs", ["-q", "-F", "-t", "ext4", "-O", "fast_commit", path])
        let script = #"""
            set -euo pipefail
            place=$1.mount
            mkdir "$place"
            mount -o loop "$1" "$place"
            trap 'umount "$place"; rmdir "$place"' EXIT
            for i in $(seq 60); do echo old > "$place/f$i"; done
            sync -f "$place"
            for i in $(seq 60); do head -c 9000 /dev/zero >> "$place/f$i"; sync "$place/f$i"; done
            cp --sparse=always "$1" "$1.cut"
            """#
        try await Tool.output(of: "bash", ["-c", script, "bash", path])
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: "\(path).cut", toPath: path)
        do {
            let count = try await Self.measure(.ext4, path)
            #expect(count.level != "heavy", "\(count)")
        } catch let failure as LossMeasurement.Failure {
            #expect(failure.description.contains("fast commits"))
        }
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
