import Foundation
import SystemPackage
import Testing

@testable import HostTools
@testable import Repair

extension FuzzTests {
    /// Enough for every superblock that libblkid looks for at the start of a device.
    private static let diskSize: UInt64 = 4 << 20

    @Test static func `what a guest wrote on a disk is recognised or not, and its partitions lie in it, apart`() throws
    {
        let path = FileManager.default.temporaryDirectory.path + "/fuzz-disk-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let disk = try FileDescriptor.open(
            FilePath(path), .readWrite, options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: [.ownerReadWrite])
        defer { try? disk.close() }
        let words = [
            "\u{53}", "LABELONE", "LVM2 001", "EFI PART", "XFSB", "_BHRfS_M", "NTFS    ", "SWAPSPACE2", "55AA",
        ]
        try Campaign("Superblock", words: words).run { input in
            try disk.resize(to: 0)
            try disk.resize(to: Int64(diskSize))
            _ = try disk.writeAll(toAbsoluteOffset: 0, input)
            _ = try ExtSuperblock(device: path)
            for sectorSize in [512, 4096] {
                let result = try Probe.inspect(disk, length: diskSize, sectorSize: sectorSize)
                _ = Volume.Content(signatures: result.signatures)
                for signature in result.signatures { _ = signature.overrun(of: diskSize) }
                try expectPlaces(of: result.partitionTable?.partitions ?? [])
                _ = try JSONEncoder().encode(result)
            }
            // The whole input as a partition in the middle, too.
            _ = try? Probe.inspect(disk, offset: 512, length: 1 << 20)
        }
    }

    private static func expectPlaces(of partitions: [Partition]) throws {
        let problems = PartitionPlacement.problems(of: partitions, diskSize: diskSize)
        let usable = partitions.filter { !$0.isContainer && problems[$0.number] == nil }
        for partition in usable {
            try require(
                partition.start <= diskSize && partition.size <= diskSize - partition.start && partition.size > 0,
                "\(partition) is not on its disk")
        }
        let sorted = usable.sorted { $0.start < $1.start }
        for (one, other) in zip(sorted, sorted.dropFirst()) {
            try require(one.start + one.size <= other.start, "\(one) and \(other) overlap")
        }
    }
}
