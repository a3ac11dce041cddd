import Foundation
import TestSupport
import Testing

extension SystemTests {
    @Suite struct Layouts {
        private static let mebibyte = 1 << 20

        @Test(arguments: Engine.allCases)
        func `every partition table and filesystem is repaired as the bare checker does it`(
            engine: Engine
        ) async throws {
            let ext = try await DamagedFilesystem.ext("ext2", size: 8 << 20)
            let vfat = try await DamagedFilesystem.vfat(size: 8 << 20)
            let xfs = try await DamagedFilesystem.xfs(size: 32 << 20)
            let disks = [
                try await guid([(ext, 1), (vfat, 9), (xfs, 17)]), try await logical(ext), try await largeSectors(ext),
                try whole(ext),
            ]
            let expected: [(volume: String, disk: Int, offset: Int, filesystem: DamagedFilesystem)] = [
                ("vda1", 0, 1, ext), ("vda2", 0, 9, vfat), ("vda3", 0, 17, xfs), ("vdb5", 1, 2, ext),
                ("vdc1", 2, 1, ext), ("vdd", 3, 0, ext),
            ]
            try await VM.withDomain(disks) { domain in
                let before = HostSnapshot.take()
                let run = try await VM.repair(domain, engine: engine)
                #expect(run.exitStatus == 1, "\(run)")
                #expect(HostSnapshot.take() == before)
                for (volume, disk, offset, filesystem) in expected {
                    #expect(run.volume(volume)?.outcome == "repaired", "\(volume)")
                    let start = offset * Self.mebibyte
                    let bytes = try disks[disk].content().subdata(in: start..<start + filesystem.repaired.count)
                    #expect(filesystem.isRepaired(bytes), "\(volume)")
                }
                print("layouts, engine \(engine.rawValue): \(run.seconds) s, \(run.domain?.seconds ?? [:])")
            }
        }

        private func guid(_ partitions: [(filesystem: DamagedFilesystem, offset: Int)]) async throws -> Disk {
            let disk = try Disk.make("guid.raw", size: 64 << 20)
            let lines = partitions.map { "start=\($0.offset)MiB, size=\($0.filesystem.damaged.count >> 20)MiB\n" }
            try await Tool.output(of: "sfdisk", ["--quiet", disk.path], input: "label: gpt\n\(lines.joined())")
            for (filesystem, offset) in partitions { try disk.write(filesystem.damaged, at: offset << 20) }
            return disk
        }

        private func logical(_ filesystem: DamagedFilesystem) async throws -> Disk {
            let disk = try Disk.make("logical.raw", size: 32 << 20)
            try await Tool.output(
                of: "sfdisk", ["--quiet", disk.path],
                input: "label: dos\nstart=1MiB, size=30MiB, type=5\nstart=2MiB, size=8MiB, type=83\n")
            try disk.write(filesystem.damaged, at: 2 << 20)
            return disk
        }

        private func largeSectors(_ filesystem: DamagedFilesystem) async throws -> Disk {
            let disk = try Disk.make("large-sectors.raw", size: 16 << 20, sectorSize: 4096)
            try await Tool.output(of: "fdisk", ["-b", "4096", disk.path], input: "g\nn\n1\n256\n+8M\nw\n")
            try disk.write(filesystem.damaged, at: 1 << 20)
            return disk
        }

        private func whole(_ filesystem: DamagedFilesystem) throws -> Disk {
            let disk = try Disk.make("whole.raw", size: filesystem.damaged.count)
            try disk.write(filesystem.damaged, at: 0)
            return disk
        }
    }
}
