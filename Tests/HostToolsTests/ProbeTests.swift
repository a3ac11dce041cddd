import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

private let runner = HostCommandRunner()
private let megabyte: UInt64 = 1 << 20
private let uuid = "11111111-2222-3333-4444-555555555555"

/// On images that the real tools made.
@Suite(.timeLimit(.minutes(40)))
struct ProbeSignatureTests {
    struct Maker: Sendable, CustomTestStringConvertible {
        var program: String
        var arguments: [String]
        var megabytes: Int
        var expected: Signature
        var testDescription: String { expected.type }
    }

    @Test(
        arguments: [
            Maker(
                program: "mke2fs", arguments: ["-q", "-F", "-t", "ext4", "-b", "4096", "-L", "root fs", "-U", uuid],
                megabytes: 32,
                expected: Signature(
                    type: "ext4", usage: .filesystem, label: "root fs", uuid: uuid, version: "1.0",
                    filesystemSize: 32 * megabyte, blockSize: 4096, offset: 0x438)),
            Maker(
                program: "mke2fs", arguments: ["-q", "-F", "-t", "ext2", "-b", "1024", "-U", uuid], megabytes: 8,
                expected: Signature(
                    type: "ext2", usage: .filesystem, uuid: uuid, version: "1.0", filesystemSize: 8 * megabyte,
                    blockSize: 1024, offset: 0x438)),
            Maker(
                program: "mkfs.vfat", arguments: ["-i", "ABCD1234", "-n", "EFI"], megabytes: 32,
                expected: Signature(
                    type: "vfat", usage: .filesystem, label: "EFI", uuid: "ABCD-1234", version: "FAT16",
                    filesystemSize: 32 * megabyte, blockSize: 512, offset: 54)),
            Maker(
                program: "mkfs.vfat", arguments: ["-F", "32", "-S", "4096", "-i", "ABCD1234"], megabytes: 300,
                expected: Signature(
                    type: "vfat", usage: .filesystem, uuid: "ABCD-1234", version: "FAT32",
                    filesystemSize: 300 * megabyte, blockSize: 4096, offset: 82)),
            Maker(
                program: "mkfs.xfs", arguments: ["-q", "-f", "-L", "data", "-m", "uuid=\(uuid)"], megabytes: 320,
                expected: Signature(
                    type: "xfs", usage: .filesystem, label: "data", uuid: uuid, filesystemSize: 320 * megabyte,
                    blockSize: 512, offset: 0)),
            Maker(
                program: "mkfs.btrfs", arguments: ["-q", "-f", "-L", "b", "-U", uuid], megabytes: 128,
                expected: Signature(
                    type: "btrfs", usage: .filesystem, label: "b", uuid: uuid, filesystemSize: 128 * megabyte,
                    blockSize: 4096, offset: 0x10040)),
            Maker(
                program: "mkswap", arguments: ["-L", "swap", "-U", uuid], megabytes: 8,
                expected: Signature(
                    type: "swap", usage: .other, label: "swap", uuid: uuid, version: "1", offset: 0xFF6)),
            Maker(
                program: "mkntfs", arguments: ["-q", "-F", "-f", "-L", "WINDOWS"], megabytes: 32,
                expected: Signature(
                    type: "ntfs", usage: .filesystem, label: "WINDOWS", filesystemSize: 32 * megabyte, blockSize: 512,
                    offset: 3)),
        ])
    func `a filesystem is recognised with what it says of itself, and is no partition table`(maker: Maker) async throws
    {
        guard runner.path(of: maker.program) != nil else { return }
        try await withImage(megabytes: maker.megabytes) { image in
            try await runner.output(of: Command(maker.program, maker.arguments + [image.path]))
            var result = try image.inspect()
            #expect(result.partitionTable == nil)
            if maker.expected.uuid == nil, !result.signatures.isEmpty {
                result.signatures[0].uuid = nil
            }
            #expect(result.signatures == [maker.expected])
        }
    }

    @Test func `a filesystem at an offset is found there, and only there`() async throws {
        try await withImage(megabytes: 8) { filesystem in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", filesystem.path))
            try await withImage(megabytes: 16) { image in
                try image.write(try filesystem.read(at: 0, count: 8 << 20), at: 4 << 20)
                #expect(try image.inspect() == ProbeResult())
                let result = try image.inspect(offset: 4 * megabyte, length: 8 * megabyte)
                #expect(result.signatures.map(\.type) == ["ext4"])
                #expect(result.signatures.map(\.offset) == [0x438])
                #expect(result.signatures.map(\.filesystemSize) == [8 * megabyte])
            }
        }
    }

    @Test func `a filesystem that claims more than the volume has says so`() async throws {
        try await withImage(megabytes: 32) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path))
            try image.truncate(to: 16 << 20)
            let signature = try #require(try image.inspect().signatures.first)
            #expect(signature.filesystemSize == 32 * megabyte)
        }
    }

    @Test func `a FAT volume with an old ext superblock has two signatures`() async throws {
        try await withImage(megabytes: 32) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path))
            let superblock = try image.read(at: 1024, count: 1024)
            try await runner.output(of: Command("mkfs.vfat", "-F", "32", image.path))
            #expect(try image.inspect().signatures.map(\.type) == ["vfat"])
            try image.write(superblock, at: 1024)
            let result = try image.inspect()
            #expect(Set(result.signatures.map(\.type)) == ["vfat", "ext4"])
            #expect(result.partitionTable == nil)
        }
    }

    @Test(arguments: [true, false])
    func `an LVM member with an old ext superblock has two signatures`(isLabelIntact: Bool) async throws {
        try await withImage(megabytes: 32) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path))
            var label = Array("LABELONE".utf8) + [1, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0] + [32, 0, 0, 0]
            label += Array("LVM2 001".utf8) + Array("abcdefghijklmnopqrstuvwxyz012345".utf8)
            label += [UInt8](repeating: 0, count: 512 - label.count)
            let checksum = lvmChecksum(Array(label[20...]))
            label.replaceSubrange(16..<20, with: (0..<4).map { UInt8(truncatingIfNeeded: checksum >> ($0 * 8)) })
            if !isLabelIntact { label[16] ^= 1 }
            try image.write(label, at: 512)
            let signatures = try image.inspect().signatures
            #expect(signatures.map(\.type) == ["LVM2_member", "ext4"])
            #expect(signatures.map(\.usage) == [.raid, .filesystem])
            #expect(signatures.first?.uuid == "abcdef-ghij-klmn-opqr-stuv-wxyz-012345")
            #expect(signatures.map(\.hasBadChecksum) == [!isLabelIntact, false])
        }
    }

    @Test func `a swap area of a suspended system is told from swap`() async throws {
        try await withImage(megabytes: 8) { image in
            try await runner.output(of: Command("mkswap", image.path))
            try image.write(Array("S1SUSPEND\0".utf8), at: 4096 - 10)
            #expect(try image.inspect().signatures.map(\.type) == ["swsuspend"])
        }
    }

    @Test func `a zeroed superblock leaves nothing, garbage neither`() async throws {
        try await withImage(megabytes: 8) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path))
            try image.write([UInt8](repeating: 0, count: 1024), at: 1024)
            #expect(try image.inspect() == ProbeResult())
            var state: UInt64 = 0x9E37_79B9_7F4A_7C15
            let garbage = (0..<(8 << 20)).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: state >> 56)
            }
            try image.write(garbage, at: 0)
            #expect(try image.inspect() == ProbeResult())
        }
    }

    @Test func `a label is text, whatever bytes it is made of`() async throws {
        try await withImage(megabytes: 8) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path))
            try image.write([0x1B, 0x5B, 0x33, 0x31, 0x6D, 0xFF, 0x41, 0x0A, 0x42], at: 1024 + 0x78)
            #expect(try image.inspect().signatures.first?.label == "\u{1B}[31m\u{FFFD}A\nB")
        }
    }

    @Test(arguments: [1, 100, 512, 1023, 1536, 4096])
    func `a region of any size is survived`(length: UInt64) async throws {
        try await withImage(megabytes: 8) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path))
            _ = try image.inspect(length: length)
            _ = try image.inspect(length: length, sectorSize: 4096)
        }
    }

    @Test func `a region that isn't there is an error`() async throws {
        try await withImage(megabytes: 1) { image in
            #expect(throws: ProbeError.invalidRegion(offset: 0, length: 0)) { try image.inspect(length: 0) }
            #expect(throws: ProbeError.regionPastEnd(offset: 1, length: megabyte, size: megabyte)) {
                try image.inspect(offset: 1, length: megabyte)
            }
            #expect(throws: ProbeError.invalidRegion(offset: 2, length: .max)) {
                try image.inspect(offset: 2, length: .max)
            }
        }
    }

    @Test func `a file that can't be read is an error`() throws {
        let file = try FileDescriptor.open("/dev/null", .writeOnly)
        defer { try? file.close() }
        #expect(throws: ProbeError.self) { try Probe.inspect(file, length: 4096) }
        try withImageSync(megabytes: 1) { image in
            let file = try FileDescriptor.open(image.path, .writeOnly)
            defer { try? file.close() }
            #expect(throws: ProbeError.self) { try Probe.inspect(file, length: megabyte) }
        }
    }
}

@Suite(.timeLimit(.minutes(40)))
struct ProbePartitionTests {
    @Test func `an MBR with logical partitions`() async throws {
        try await withImage(megabytes: 64) { image in
            try await image.partition(
                """
                label: dos
                label-id: 0x12345678
                start=2048, size=20480, type=83, bootable
                start=22528, size=10240, type=82
                start=32768, type=5
                start=34816, size=8192, type=83
                start=45056, size=8192, type=8e
                """)
            let table = try #require(try image.inspect().partitionTable)
            #expect(
                table
                    == PartitionTable(
                        kind: .mbr, type: "dos", identifier: "12345678",
                        partitions: [
                            Partition(
                                number: 1, start: megabyte, size: 10 * megabyte, type: "0x83", uuid: "12345678-01"),
                            Partition(
                                number: 2, start: 11 * megabyte, size: 5 * megabyte, type: "0x82", uuid: "12345678-02"),
                            Partition(
                                number: 3, start: 16 * megabyte, size: 48 * megabyte, type: "0x05",
                                uuid: "12345678-03", isContainer: true),
                            Partition(
                                number: 5, start: 17 * megabyte, size: 4 * megabyte, type: "0x83", uuid: "12345678-05",
                                isLogical: true),
                            Partition(
                                number: 6, start: 22 * megabyte, size: 4 * megabyte, type: "0x8e", uuid: "12345678-06",
                                isLogical: true),
                        ]))
        }
    }

    private static let gptScript = """
        label: gpt
        label-id: AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE
        size=1MiB, type=21686148-6449-6E6F-744E-656564454649
        size=16MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI"
        type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=99999999-BBBB-CCCC-DDDD-EEEEEEEEEEEE, name="root é"
        """

    private func check(gpt table: PartitionTable?) throws {
        let table = try #require(table)
        #expect(table.kind == .gpt)
        #expect(table.type == "gpt")
        #expect(table.identifier == "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee")
        #expect(table.partitions.map(\.number) == [1, 2, 3])
        #expect(table.partitions.map(\.start) == [megabyte, 2 * megabyte, 18 * megabyte])
        #expect(table.partitions.prefix(2).map(\.size) == [megabyte, 16 * megabyte])
        #expect(table.partitions.map(\.name) == [nil, "EFI", "root é"])
        #expect(table.partitions.last?.type == "0fc63daf-8483-4772-8e79-3d69d8477de4")
        #expect(table.partitions.last?.uuid == "99999999-bbbb-cccc-dddd-eeeeeeeeeeee")
        #expect(table.partitions.allSatisfy { !$0.isContainer && !$0.isLogical })
    }

    @Test func `a GPT`() async throws {
        try await withImage(megabytes: 64) { image in
            try await image.partition(Self.gptScript)
            try check(gpt: try image.inspect().partitionTable)
        }
    }

    @Test func `a GPT whose primary copy is gone is read from its backup`() async throws {
        try await withImage(megabytes: 64) { image in
            try await image.partition(Self.gptScript)
            try image.write([UInt8](repeating: 0, count: 512), at: 512)
            try check(gpt: try image.inspect().partitionTable)
        }
    }

    @Test(.enabled(if: getuid() == 0 && access("/dev/loop-control", F_OK) == 0, "needs root and loop devices"))
    func `a GPT in sectors of 4096 bytes is found with that size only`() async throws {
        try await withImage(megabytes: 64) { image in
            let loop = try LoopDevice.attach(image.file, sectorSize: 4096)
            try await Image(path: loop.path, file: image.file).partition(Self.gptScript)
            try loop.detach()
            try check(gpt: try image.inspect(sectorSize: 4096).partitionTable)
            let other = try image.inspect(sectorSize: 512)
            #expect(other.partitionTable?.kind == .other)
            #expect(other.partitionTable?.type == "PMBR")
        }
    }

    @Test func `a GPT on a disk that was cut off is a protective record without partitions that can be trusted`()
        async throws
    {
        try await withImage(megabytes: 64) { image in
            try await image.partition(Self.gptScript)
            try image.truncate(to: 32 << 20)
            let table = try #require(try image.inspect().partitionTable)
            #expect(table.type == "PMBR")
            #expect(table.kind == .other)
        }
    }

    @Test func `entries past the end of the disk and over each other are reported as they stand there`() throws {
        try withImageSync(megabytes: 8) { image in
            try image.writeTable([
                entry(type: 0x83, start: 2048, size: 0xFFFF_0000), entry(type: 0x83, start: 2048, size: 4096),
                entry(type: 0x83, start: 3000, size: 4096), entry(type: 0x83, start: 0, size: 16384),
            ])
            let table = try #require(try image.inspect().partitionTable)
            #expect(table.partitions.map { $0.start / 512 } == [2048, 2048, 3000, 0])
            #expect(table.partitions.map { $0.size / 512 } == [0xFFFF_0000, 4096, 4096, 16384])
        }
    }

    @Test(arguments: [
        // Where each extended boot record says that the next one is, relative to the first.
        [0], [100], [100, 200, 100], [100, 0], [100, 200, 300, 200], [0xFFFF_FFFF], [5_000_000],
    ])
    func `extended boot records in a circle have an end`(links: [UInt32]) throws {
        try withImageSync(megabytes: 8) { image in
            let first: UInt32 = 4096
            try image.writeTable([entry(type: 0x83, start: 2048, size: 1024), entry(type: 5, start: first, size: 8192)])
            var place: UInt32 = 0
            for link in links {
                let records = [entry(type: 0x83, start: 8, size: 16), entry(type: 5, start: link, size: 64)]
                if UInt64(first) + UInt64(place) < 16000 {
                    try image.writeTable(records, at: Int64(first + place) * 512)
                }
                place = link
                if UInt64(first) + UInt64(place) >= 16000 { break }
            }
            let table = try #require(try image.inspect().partitionTable)
            #expect(table.partitions.count <= 110)
            #expect(table.partitions.contains { $0.isLogical })
        }
    }

    @Test func `a boot sector in front of a filesystem is no table`() async throws {
        try await withImage(megabytes: 8) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path))
            try image.write([0x55, 0xAA], at: 510)
            let result = try image.inspect()
            #expect(result.partitionTable == nil)
            #expect(result.signatures.map(\.type) == ["ext4"])
        }
    }

    @Test func `an empty table on an empty disk is one`() async throws {
        try await withImage(megabytes: 8) { image in
            try await image.partition("label: dos")
            let result = try image.inspect()
            #expect(result.partitionTable?.kind == .mbr)
            #expect(result.partitionTable?.partitions == [])
        }
    }

    @Test func `a table over the leftovers of a filesystem is reported with them`() async throws {
        try await withImage(megabytes: 8) { image in
            try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", image.path))
            try image.writeTable([entry(type: 0x83, start: 2048, size: 4096)])
            let result = try image.inspect()
            #expect(result.partitionTable?.partitions.count == 1)
            #expect(result.signatures.map(\.type) == ["ext4"])
        }
    }
}

/// LVM's CRC: that of zlib with another start and no final inversion (lib/misc/crc.c).
private func lvmChecksum(_ bytes: [UInt8]) -> UInt32 {
    bytes.reduce(0xF597_A6CF as UInt32) { crc, byte in
        (0..<8).reduce(crc ^ UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
}

/// An entry of a master or extended boot record.
private func entry(type: UInt8, start: UInt32, size: UInt32) -> [UInt8] {
    [0, 0, 0, 0, type, 0, 0, 0]
        + [start, size].flatMap { number in
            (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
        }
}

struct Image {
    let path: String
    let file: FileDescriptor

    func inspect(offset: UInt64 = 0, length: UInt64? = nil, sectorSize: Int = 512) throws -> ProbeResult {
        let size = UInt64(try file.seek(offset: 0, from: .end))
        return try Probe.inspect(file, offset: offset, length: length ?? size - offset, sectorSize: sectorSize)
    }

    func read(at offset: Int64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = try bytes.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: offset, into: $0) }
        #expect(got == count)
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: Int64) throws {
        try file.writeAll(toAbsoluteOffset: offset, bytes)
    }

    func truncate(to size: Int64) throws {
        try file.resize(to: size)
    }

    func writeTable(_ entries: [[UInt8]], at offset: Int64 = 0) throws {
        let bytes = Array(entries.joined())
        try write(bytes + [UInt8](repeating: 0, count: 64 - bytes.count) + [0x55, 0xAA], at: offset + 446)
    }

    /// Gives `script` to sfdisk(8), which reads it from its standard input only.
    func partition(_ script: String) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(runner.path(of: "sfdisk")))
        process.arguments = ["-q", "--no-reread", "--no-tell-kernel", "--lock=no", path]
        let pipe = Pipe()
        process.standardInput = pipe
        try process.run()
        try pipe.fileHandleForWriting.write(contentsOf: Data(script.utf8))
        try pipe.fileHandleForWriting.close()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }
}

private func makeImage(_ megabytes: Int) throws -> Image {
    let path = NSTemporaryDirectory() + "virt-fsck-probe-\(UUID().uuidString).img"
    let file = try FileDescriptor.open(
        path, .readWrite, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
    try file.resize(to: Int64(megabytes) << 20)
    return Image(path: path, file: file)
}

func withImage(megabytes: Int, _ body: (Image) async throws -> Void) async throws {
    let image = try makeImage(megabytes)
    defer {
        try? image.file.close()
        unlink(image.path)
    }
    try await body(image)
}

func withImageSync(megabytes: Int, _ body: (Image) throws -> Void) throws {
    let image = try makeImage(megabytes)
    defer {
        try? image.file.close()
        unlink(image.path)
    }
    try body(image)
}
