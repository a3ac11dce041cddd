import Foundation
import HostTools
import Libvirt
import SystemPackage
import Testing

@testable import Repair

/// Disks whose partitions show what lies on an array, and disks of which one partition is a member.
@Suite(.enabled(if: canAttach), .timeLimit(.minutes(20)))
struct MemberTests {
    private let runner = HostCommandRunner()
    private let size: Int64 = 34 << 20

    /// A disk of two damaged ext4 partitions, from 1 MiB and from 17 MiB to its end.
    private func disk(_ host: TestHost, _ name: String = "disk.raw") async throws -> String {
        let path = try host.sparseFile(name, size: size)
        try Data("label: dos\nstart=2048, size=32768, type=83\nstart=34816, type=83\n".utf8)
            .write(to: URL(filePath: host.file("table")))
        try await runner.output(of: Command("sh", "-c", "sfdisk -q \(path) < \(host.file("table"))"))
        for offset in [1, 17] {
            try await runner.output(
                of: Command("mke2fs", "-q", "-F", "-t", "ext4", "-E", "offset=\(offset << 20)", path, "15360"))
            try await runner.output(of: Command("debugfs", "-w", "-R", "clri <11>", "\(path)?offset=\(offset << 20)"))
        }
        return path
    }

    private func write(_ bytes: some Sequence<UInt8>, at offset: Int64, of path: String) throws {
        let file = try FileDescriptor.open(FilePath(path), .readWrite)
        defer { try? file.close() }
        try file.writeAll(toAbsoluteOffset: offset, bytes)
    }

    /// What DRBD keeps in the last 4 KiB of what it mirrors.
    private let drbd = [UInt8](repeating: 0, count: 60) + [0x83, 0x74, 0x02, 0x6B]

    private func outcome(_ host: TestHost, _ disks: [String], _ mode: Options.Mode = .repair) async throws
        -> DomainOutcome
    {
        let elements = zip(["vda", "vdb"], disks).map { host.disk($0, $1) }.joined()
        var options = Options()
        options.engine = .fuse
        options.start = .never
        options.mode = mode
        return await host.pipeline(try await host.connect(disks: elements), options).outcome(ofRepairing: "web")
    }

    @Test func `what a tree of hashes is for is not repaired`() async throws {
        let host = try TestHost()
        let path = try await disk(host)
        // Of dm-verity, in the second partition: 4,096 blocks of 4 KiB, which is the first one.
        var header = [UInt8](repeating: 0, count: 4096)
        header.replaceSubrange(
            0..<24, with: Array("verity\0\0".utf8) + [1, 0, 0, 0, 1, 0, 0, 0] + [UInt8](repeating: 7, count: 8))
        header.replaceSubrange(32..<38, with: "sha256".utf8)
        header.replaceSubrange(64..<82, with: [0, 16, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 32, 0])
        try write(header, at: 17 << 20, of: path)
        let before = try Data(contentsOf: URL(filePath: path))
        let outcome = try await outcome(host, [path])
        let volume = outcome.volumes.first { $0.volume.name == "vda1" }
        #expect(volume?.outcome == .notChecked, "\(outcome)")
        #expect(volume?.message.contains("dm-verity") == true, "\(outcome)")
        try #expect(Data(contentsOf: URL(filePath: path)) == before)
    }

    @Test func `beside a dynamic disk of Windows nothing is written`() async throws {
        let host = try TestHost()
        let path = try await disk(host)
        try await runner.output(of: Command("sfdisk", "-q", "--part-type", path, "2", "42"))
        let before = try Data(contentsOf: URL(filePath: path))
        let outcome = try await outcome(host, [path])
        #expect(outcome.outcome == .refused, "\(outcome)")
        #expect(outcome.message.contains("dynamic disk"), "\(outcome)")
        try #expect(Data(contentsOf: URL(filePath: path)) == before)
    }

    @Test(arguments: [1, 2]) func `the legs of a firmware's mirror are not repaired one by one, nor is one alone`(
        legs: Int
    ) async throws {
        let host = try TestHost()
        var paths: [String] = []
        for leg in 0..<legs {
            let path = try await disk(host, "leg\(leg).raw")
            // In the last sector but one, which is in the last partition.
            try write("Intel Raid ISM Cfg Sig. 1.1.00".utf8, at: size - 1024, of: path)
            paths.append(path)
        }
        let before = try paths.map { try Data(contentsOf: URL(filePath: $0)) }
        for mode in [Options.Mode.check, .repair] {
            let outcome = try await outcome(host, paths, mode)
            #expect(outcome.volumes.count == 2 * legs, "\(outcome.message)")
            for result in outcome.volumes {
                #expect(result.outcome == .notChecked)
                #expect(
                    result.message.hasPrefix(
                        "lies on \(result.volume.disk), which is a member of a RAID array (isw_raid_member 1.1.00); "))
                #expect(result.volume.type == (result.volume.name.hasSuffix("1") ? "ext4" : "isw_raid_member"))
            }
            #expect(!outcome.isSound)
        }
        #expect(try paths.map { try Data(contentsOf: URL(filePath: $0)) } == before)
    }

    @Test func `a mirror on the last partition leaves the other one to be repaired`() async throws {
        let host = try TestHost()
        let path = try await disk(host)
        try write(drbd, at: size - 4096, of: path)
        let before = try Data(contentsOf: URL(filePath: path))
        let outcome = try await outcome(host, [path])
        #expect(outcome.volumes.map(\.outcome) == [.repaired, .notChecked], "\(outcome.message)")
        #expect(outcome.volumes.last?.message.hasPrefix("is one side of a DRBD mirror (drbd v08") == true)
        let after = try Data(contentsOf: URL(filePath: path))
        #expect(after[(17 << 20)...] == before[(17 << 20)...])
    }

    @Test func `a mirror of the whole disk leaves none, although its partitions show no sign of it`() async throws {
        let host = try TestHost()
        let path = try await disk(host)
        // A disk that is larger than its partitions: these end before the metadata.
        let file = try FileDescriptor.open(FilePath(path), .readWrite)
        try file.resize(to: size + 1 << 20)
        try file.close()
        try write(drbd, at: size + 1 << 20 - 4096, of: path)
        let before = try Data(contentsOf: URL(filePath: path))
        let outcome = try await outcome(host, [path])
        #expect(outcome.volumes.map(\.outcome) == [.notChecked, .notChecked], "\(outcome.message)")
        #expect(outcome.volumes.map(\.volume.type) == ["ext4", "ext4"])
        #expect(try Data(contentsOf: URL(filePath: path)) == before)
    }

    @Test func `a physical volume on a whole disk under a partition table leaves none`() async throws {
        let host = try TestHost()
        let path = try await disk(host)
        // The label that LVM looks for, in the second sector; its checksum is wrong.
        try write(
            Array("LABELONE".utf8) + [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0] + Array("LVM2 001".utf8)
                + [UInt8](repeating: 0x61, count: 32), at: 512, of: path)
        let outcome = try await outcome(host, [path])
        #expect(outcome.volumes.map(\.outcome) == [.notChecked, .notChecked], "\(outcome.message)")
        #expect(outcome.volumes.allSatisfy { $0.message.contains("a physical volume of LVM (LVM2_member") })
    }
}
