import Foundation
import TestSupport
import Testing

/// What was not repaired keeps every byte, whatever a checker wrote to its overlay.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct RestorationTests {
    /// What lies beside the repaired volume.
    enum Neighbour: String, CaseIterable, Sendable {
        case ext4, vfat, xfs, beyondRepair, unknown
    }

    @Test(arguments: TestHost.engines.flatMap { engine in Neighbour.allCases.map { (engine, $0) } }, Storage.allCases)
    func `bytes outside the repaired volume stay the same`(
        _ example: (engine: String, neighbour: Neighbour), _ storage: Storage
    ) async throws {
        try await Workshop.with { shop in
            let size = 32 << 20
            let set = try await DiskSet.makeRecipe(boot: size, root: size, swap: size, in: shop.folder)
            let root = try set.volume("VolGroup00/LogVol00")
            for name in ["vda1", "VolGroup00/LogVol01"] {
                let file = "\(shop.folder)/neighbour"
                try await make(example.neighbour, at: file, size: size)
                try set.embed(file, in: try set.volume(name))
            }
            let file = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: file, size: size)
            var pristine = set
            if storage == .qcow2WithBackingFile {
                try set.embed(file, in: root)
                pristine.paths = set.paths.map { $0 + ".pristine" }
                try await Tool.output(of: "cp", ["--sparse=always", set.paths[0], pristine.paths[0]])
            }
            try await Filesystem.ext4.damage(file)
            try set.embed(file, in: root)
            let images = try await shop.defineImages(
                of: set, storage, pristine: storage == .qcow2WithBackingFile ? pristine : nil)

            let run = try await shop.virtFsck("repair", "--no-start", "--engine", example.engine)

            #expect(run.domain?.committed == true, "\(run)")
            #expect(run.volume("VolGroup00/LogVol00")?.outcome == "repaired", "\(run)")
            let outcome =
                switch example.neighbour {
                case .ext4, .vfat, .xfs: "clean"
                case .beyondRepair: "unrepaired"
                case .unknown: "not-checked"
                }
            #expect(run.volume("vda1")?.outcome == outcome, "\(run)")
            #expect(run.volume("VolGroup00/LogVol01")?.outcome == outcome, "\(run)")
            let after = try await shop.content(of: images, storage, like: set)
            try await expectSameRepair(.ext4, root, before: set, after: after, in: shop)
            try await expectSame(set, after, in: shop)
        }
    }

    private func make(_ neighbour: Neighbour, at path: String, size: Int) async throws {
        switch neighbour {
        case .ext4: try await Filesystem.ext4.make(at: path, size: size)
        case .vfat: try await Filesystem.vfat.make(at: path, size: size)
        case .xfs: try await Filesystem.xfs.make(at: path, size: size)
        case .beyondRepair:
            // It claims to be larger than its volume: e2fsck gives up, and may have written by then.
            try await Filesystem.ext4.make(at: path, size: 2 * size)
            try await Filesystem.ext4.damage(path)
            try FileHandle.update(path) { try $0.truncate(atOffset: UInt64(size)) }
        case .unknown:
            try await Tool.output(of: "cp", ["/usr/bin/qemu-img", path])
            try FileHandle.update(path) { file in
                try file.write([UInt8](repeating: 0x5A, count: 4096), at: 0)
                try file.truncate(atOffset: UInt64(size))
            }
        }
    }
}
