import Foundation
import HostTools
import Testing

private let runner = HostCommandRunner()
private let megabyte: UInt64 = 1 << 20
private let diskSize = 64 * megabyte

/// The superblock of a member, and where it lies on a device of a given size. The layouts are those of libblkid's
/// `superblocks/*_raid.c`, and of the headers that they name.
struct MemberSuperblock: Sendable, CustomTestStringConvertible {
    var type: String
    /// Where the superblock lies, in sectors of 512 bytes, on a device of so many.
    var sector: @Sendable (UInt64) -> UInt64
    var bytes: @Sendable (UInt64) -> [UInt8]
    var testDescription: String { type }

    init(
        _ type: String, atEnd sectors: UInt64, _ bytes: @escaping @Sendable (UInt64) -> [UInt8]
    ) {
        self.init(type, at: { $0 - sectors }, bytes)
    }

    init(
        _ type: String, at sector: @escaping @Sendable (UInt64) -> UInt64,
        _ bytes: @escaping @Sendable (UInt64) -> [UInt8]
    ) {
        self.type = type
        self.sector = sector
        self.bytes = bytes
    }

    /// Writes it where it belongs on a part of an image.
    func write(to image: Image, offset: UInt64 = 0, size: UInt64 = diskSize) throws {
        try image.write(bytes(size / 512), at: Int64(offset + sector(size / 512) * 512))
    }

    /// Of the formats that a firmware makes; only whole disks are members of them.
    static let ofFirmware = [
        MemberSuperblock("isw_raid_member", atEnd: 2) { _ in Array("Intel Raid ISM Cfg Sig. 1.1.00".utf8) },
        MemberSuperblock("ddf_raid_member", atEnd: 1) { sectors in ddf(primary: sectors - 1) },
        MemberSuperblock("lsi_mega_raid_member", atEnd: 1) { _ in Array("$XIDE$".utf8) },
        MemberSuperblock("via_raid_member", atEnd: 1) { _ in
            // A version, no disk, and the sum of the 50 bytes before it.
            [0x55, 0xAA, 1] + [UInt8](repeating: 0, count: 47) + [0x00]
        },
        MemberSuperblock("silicon_medley_raid_member", atEnd: 1) { _ in
            var block = [UInt8](repeating: 0, count: 512)
            block.put(0x2F00_0000, at: 0x60, count: 4)
            block.put(0 &- Array(block[..<0x13E]).sum(of: 2), at: 0x13E, count: 2)
            return block
        },
        MemberSuperblock("nvidia_raid_member", atEnd: 2) { _ in
            // 30 words, whose sum is 0.
            var block = Array("NVIDIA  ".utf8) + [UInt8](repeating: 0, count: 112)
            block.put(30, at: 8, count: 4)
            block.put(0 &- block.sum(of: 4), at: 12, count: 4)
            return block
        },
        MemberSuperblock("promise_fasttrack_raid_member", atEnd: 63) { _ in Array("Promise Technology, Inc.".utf8) },
        MemberSuperblock("hpt45x_raid_member", atEnd: 11) { _ in [0xF3, 0x16, 0x78, 0x5A] },
        MemberSuperblock("hpt37x_raid_member", at: { _ in 9 }) { _ in
            [UInt8](repeating: 0, count: 32) + [0xF0, 0x16, 0x78, 0x5A]
        },
        MemberSuperblock("adaptec_raid_member", atEnd: 1) { _ in
            [0x37, 0xFC, 0x4D, 0x1E] + [UInt8](repeating: 0, count: 252) + [0x44, 0x50, 0x54, 0x4D]
        },
        MemberSuperblock("jmicron_raid_member", atEnd: 1) { _ in
            // A version, and what makes the sum 0.
            Array("JM".utf8) + [1, 2, 0xB5, 0xB0]
        },
    ]

    static let md090 = MemberSuperblock("linux_raid_member", at: { ($0 & ~127) - 128 }) { sectors in
        var words = [UInt64](repeating: 0, count: 1024)
        // Magic, version, UUID, level 1, size in KiB, two disks.
        words.replaceSubrange(0..<7, with: [0xA92B_4EFC, 0, 90, 0, 0, 0x0102_0304, 1_600_000_000])
        words.replaceSubrange(7..<11, with: [1, ((sectors & ~127) - 128) / 2, 2, 2])
        words.replaceSubrange(13..<16, with: [0x0506_0708, 0x090A_0B0C, 0x0D0E_0F10])
        words.replaceSubrange(32..<36, with: [1_600_000_000, 1, 2, 2])
        (words[39], words[41]) = (10, 10)
        for disk in 0..<2 {
            words.replaceSubrange(
                (128 + 32 * disk)..<(133 + 32 * disk), with: [disk, 8, 16 * disk, disk, 6].map(UInt64.init))
        }
        words.replaceSubrange(992..<997, with: [0, 8, 0, 0, 6])
        let sum = words.reduce(0, +)
        words[38] = (sum & 0xFFFF_FFFF) + sum >> 32
        return words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
    }

    static let md10 = MemberSuperblock("linux_raid_member", at: { ($0 - 16) & ~7 }) { sectors in
        let place = (sectors - 16) & ~7
        var block = [UInt8](repeating: 0, count: 4096)
        block.put(0xA92B_4EFC, at: 0, count: 4)
        block.put(1, at: 4, count: 4)
        block.replaceSubrange(16..<32, with: 1...16)
        block.replaceSubrange(32..<39, with: "guest:0".utf8)
        // Created, level 1, sectors, two disks; where the data and the superblock are; updated, events, 128 roles.
        for (value, offset, count) in [
            (1_600_000_000, 64, 8), (1, 72, 4), (place, 80, 8), (2, 92, 4), (0, 128, 8), (place, 136, 8),
            (place, 144, 8), (1_600_000_000, 192, 8), (10, 200, 8), (.max, 208, 8), (128, 220, 4),
        ] as [(UInt64, Int, Int)] {
            block.put(value, at: offset, count: count)
        }
        for role in 0..<128 { block.put(role < 2 ? UInt64(role) : 0xFFFF, at: 256 + 2 * role, count: 2) }
        let sum = Array(block[..<512]).sum(of: 4)
        block.put((sum & 0xFFFF_FFFF) + sum >> 32, at: 216, count: 4)
        return block
    }

    static let drbd = MemberSuperblock("drbd", atEnd: 8) { _ in
        var block = [UInt8](repeating: 0, count: 512)
        block.replaceSubrange(60..<64, with: [0x83, 0x74, 0x02, 0x6B])
        return block
    }

    static let geom = MemberSuperblock("GEOM::MIRROR", atEnd: 1) { _ in
        Array("GEOM::MIRROR".utf8) + [0, 0, 0, 0, 4, 0, 0, 0] + Array("gm0".utf8)
    }

    /// An anchor, whose primary header is where it says, or isn't.
    static func ddf(primary sector: UInt64) -> [UInt8] {
        var block = [UInt8](repeating: 0xFF, count: 512)
        block.replaceSubrange(0..<4, with: [0xDE, 0x11, 0xDE, 0x11])
        block.replaceSubrange(8..<32, with: Array("LINUX-MD".utf8) + [UInt8](repeating: 0x20, count: 16))
        block.replaceSubrange(32..<40, with: "01.02.00".utf8)
        block.replaceSubrange(96..<104, with: (0..<8).map { UInt8(truncatingIfNeeded: sector >> ((7 - $0) * 8)) })
        return block
    }
}

extension [UInt8] {
    /// The sum of its words of `size` bytes, in little endian.
    fileprivate func sum(of size: Int) -> UInt64 {
        stride(from: 0, to: count, by: size).reduce(0) { sum, index in
            sum + self[index..<(index + size)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    fileprivate mutating func put(_ value: UInt64, at offset: Int, count: Int) {
        replaceSubrange(
            offset..<(offset + count), with: (0..<count).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) })
    }
}

/// A mirror whose metadata are at the end of whole disks shows the table and the filesystems on each leg.
@Suite(.timeLimit(.minutes(10)))
struct MemberSignatureTests {
    /// One partition from 1 MiB to 33 MiB.
    private static let table = "label: dos\nstart=2048, size=65536, type=83"

    @Test(arguments: MemberSuperblock.ofFirmware + [.md090, .md10, .drbd, .geom])
    func `a member's superblock on a disk is seen although the disk has a partition table`(
        superblock: MemberSuperblock
    ) async throws {
        try await withImage(megabytes: 64) { image in
            try await image.partition(Self.table)
            #expect(try image.inspect().signatures == [])
            try superblock.write(to: image)
            let result = try image.inspect()
            #expect(result.partitionTable?.partitions.count == 1)
            #expect(result.signatures.map(\.type) == [superblock.type])
            #expect(result.signatures.map(\.usage) == [.raid])
        }
    }

    @Test(arguments: [MemberSuperblock.md090, .md10])
    func `the superblocks of MD that these tests write are what mdadm takes for some, with name and UUID`(
        superblock: MemberSuperblock
    ) async throws {
        try await withImage(megabytes: 64) { image in
            try superblock.write(to: image)
            let signature = try #require(try image.inspect().signatures.first)
            #expect(signature.uuid == "01020304-0506-0708-090a-0b0c0d0e0f10")
            #expect(signature.label == (signature.version == "1.0" ? "guest:0" : nil))
            guard runner.path(of: "mdadm") != nil else { return }
            let examined = try await runner.output(of: Command("mdadm", "--examine", image.path))
            #expect(examined.contains("Raid Level : raid1"))
            #expect(!examined.contains("expected"))
        }
    }

    @Test(arguments: [MemberSuperblock.md090, .md10])
    func `an array on the last partition is that partition's, though it ends where the disk ends`(
        superblock: MemberSuperblock
    ) async throws {
        try await withImage(megabytes: 64) { image in
            try await image.partition("label: dos\nstart=2048, size=32768, type=83\nstart=34816, type=fd")
            try superblock.write(to: image, offset: 17 * megabyte, size: 47 * megabyte)
            #expect(try image.inspect().signatures == [])
            let partition = try image.inspect(offset: 17 * megabyte)
            #expect(partition.signatures.map(\.type) == ["linux_raid_member"])
        }
    }

    @Test(arguments: [MemberSuperblock.md090, .md10, .geom] + MemberSuperblock.ofFirmware.prefix(2))
    func `a member whose disk has grown is found behind the last partition`(superblock: MemberSuperblock) async throws {
        try await withImage(megabytes: 64) { image in
            try await image.partition("label: dos\nstart=2048, size=126976, type=83")
            try superblock.write(to: image)
            try image.truncate(to: 200 << 20)
            #expect(try image.inspect().signatures.map(\.type) == [superblock.type])
        }
    }

    @Test func `a member whose disk has grown is found behind the filesystem`() async throws {
        try await withImage(megabytes: 64) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path, "63M"))
            try MemberSuperblock.md10.write(to: image)
            try image.truncate(to: 200 << 20)
            let signatures = try image.inspect().signatures
            #expect(signatures.map(\.type) == ["linux_raid_member", "ext4"])
            #expect(signatures.first?.label == "guest:0")
            #expect(signatures.first?.uuid == "01020304-0506-0708-090a-0b0c0d0e0f10")
            #expect(signatures.first?.offset == diskSize - 8192)
        }
    }

    @Test func `a DDF anchor counts although its primary header is gone`() async throws {
        try await withImage(megabytes: 64) { image in
            try await image.partition(Self.table)
            try image.write(MemberSuperblock.ddf(primary: 1000), at: Int64(diskSize) - 512)
            let signatures = try image.inspect().signatures
            #expect(signatures.map(\.type) == ["ddf_raid_member"])
            #expect(signatures.map(\.version) == ["01.02.00"])
        }
    }

    @Test(arguments: [512, 4096]) func `GEOM's metadata are in the last sector, whatever its size`(sectorSize: Int)
        async throws
    {
        try await withImage(megabytes: 64) { image in
            try image.write(MemberSuperblock.geom.bytes(0), at: Int64(diskSize) - Int64(sectorSize))
            let signatures = try image.inspect(sectorSize: sectorSize).signatures
            #expect(signatures.map(\.type) == ["GEOM::MIRROR"])
            #expect(signatures.map(\.label) == ["gm0"])
        }
    }

    @Test func `the metadata of another device, which lie in a file, or a mere label of GEOM, make no member`()
        async throws
    {
        try await withImage(megabytes: 64) { image in
            // What a smaller disk, an image of which lies behind the partition, says of itself.
            try await image.partition(Self.table)
            let block = MemberSuperblock.md10.bytes(32 * megabyte / 512)
            try image.write(block, at: Int64(34 * megabyte))
            // In the partition, and so in a file of it.
            try image.write(Array("Intel Raid ISM Cfg Sig. 1.1.00".utf8), at: Int64(20 * megabyte))
            try image.write(Array("GEOM::LABEL".utf8), at: Int64(diskSize) - 512)
            #expect(try image.inspect().signatures == [])
        }
    }

    @Test func `a GPT's backup at the end of a plain disk is no member`() async throws {
        try await withImage(megabytes: 64) { image in
            try await image.partition("label: gpt\nsize=16MiB\nsize=16MiB")
            let result = try image.inspect()
            #expect(result.partitionTable?.partitions.count == 2)
            #expect(result.signatures == [])
        }
    }

    @Test(
        arguments: [
            "S1SUSPEND", "S2SUSPEND", "ULSUSPEND", "LINHIB0001", "\u{ED}\u{C3}\u{2}\u{E9}\u{98}\u{56}\u{E5}\u{C}",
        ], [4096, 8192, 65536])
    func `a swap that a suspended system lies in is known by each signature of one`(magic: String, page: Int)
        async throws
    {
        try await withImage(megabytes: 8) { image in
            try await runner.output(of: Command("mkswap", "-q", "-p", "\(page)", image.path))
            let bytes = magic.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
            // That of TuxOnIce is in front of a swap's own signature.
            let isTuxOnIce = bytes[0] > 127
            try image.write(isTuxOnIce ? bytes : bytes + [0], at: isTuxOnIce ? 0 : Int64(page) - 10)
            #expect(try image.inspect().signatures.map(\.type) == ["swsuspend"])
        }
    }

    @Test func `an NTFS that is broken is still called one by its boot sector or the copy`() async throws {
        guard runner.path(of: "mkntfs") != nil else { return }
        try await withImage(megabytes: 32) { image in
            #expect(try !image.inspect().hasNTFSBootSector)
            try await runner.output(of: Command("mkntfs", "-q", "-F", "-f", image.path))
            #expect(try image.inspect().hasNTFSBootSector)
            // Its sectors have no size any more.
            try image.write([0, 0], at: 11)
            #expect(try image.inspect().signatures == [])
            #expect(try image.inspect().hasNTFSBootSector)
            try image.write([UInt8](repeating: 0, count: 512), at: 0)
            #expect(try image.inspect().hasNTFSBootSector)
            // What was made in its place leaves the copy.
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path, "31M"))
            #expect(try !image.inspect().hasNTFSBootSector)
        }
    }
}
