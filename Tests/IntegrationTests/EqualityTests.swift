import Foundation
import TestSupport
import Testing

/// One way that a filesystem can lie on the disks of a guest.
struct Case: CustomTestStringConvertible, Sendable {
    var layout: DiskSet.Layout
    var filesystem: Filesystem
    var storage: Storage
    var engine: String

    var testDescription: String { "\(filesystem) in \(layout) as \(storage) by \(engine)" }

    /// Every filesystem in every layout, with each storage in turn: all pairs of any two are there.
    static func all(_ layouts: [DiskSet.Layout]) -> [Case] {
        TestHost.engines.flatMap { engine in
            layouts.enumerated().flatMap { row, layout in
                Filesystem.allCases.enumerated().map { column, filesystem in
                    let storages = Storage.allCases
                    return Case(
                        layout: layout, filesystem: filesystem, storage: storages[(row + column) % storages.count],
                        engine: engine)
                }
            }
        }
    }
}

/// What is on the disk after a repair is what the bare checker makes of the extracted filesystem.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct EqualityTests {
    @Test(arguments: Case.all(DiskSet.Layout.allCases))
    func `a repair gives what the bare checker gives`(_ example: Case) async throws {
        try await repairAndCompare(example)
    }

    @Test(arguments: TestHost.engines)
    func `the recipe's layout is repaired as the bare checker repairs it`(_ engine: String) async throws {
        try await Workshop.with { shop in
            let set = try await DiskSet.makeRecipe(boot: 8 << 20, root: 16 << 20, swap: 4 << 20, in: shop.folder)
            let boot = try set.volume("vda1")
            let root = try set.volume("VolGroup00/LogVol00")
            let swap = "\(shop.folder)/swap"
            try DiskSet.createSparse(swap, size: 4 << 20)
            try await Tool.output(of: "mkswap", ["-q", "-L", "swap", swap])
            try set.embed(swap, in: try set.volume("VolGroup00/LogVol01"))
            for (volume, kind) in [(boot, Filesystem.ext3), (root, .ext4)] {
                let file = "\(shop.folder)/fs"
                try await kind.make(at: file, size: volume.size)
                try await kind.damage(file)
                try set.embed(file, in: volume)
            }
            let images = try await shop.defineImages(of: set, .qcow2)
            let run = try await shop.virtFsck("repair", "--no-start", "--engine", engine)
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.committed == true)
            #expect(run.domain?.engine == engine)
            #expect(run.volume("vda1")?.type == "ext3")
            #expect(run.volume("vda1")?.outcome == "repaired")
            #expect(run.volume("VolGroup00/LogVol00")?.outcome == "repaired")
            #expect(run.volume("VolGroup00/LogVol01")?.outcome == "skipped")
            #expect(run.report?.domains.flatMap(\.disks).flatMap(\.volumes).count == 3)
            let after = try await shop.content(of: images, .qcow2, like: set)
            for (volume, kind) in [(boot, Filesystem.ext3), (root, .ext4)] {
                try await expectSameRepair(kind, volume, before: set, after: after, in: shop)
            }
            try await expectSame(set, after, in: shop)
        }
    }

    private func repairAndCompare(_ example: Case) async throws {
        try await Workshop.with { shop in
            let kind = example.filesystem
            let set = try await DiskSet.make(example.layout, size: kind.size, in: shop.folder)
            let name = example.layout.rawValue.hasPrefix("lvm") ? "guest/root" : set.volumes[0].name
            let volume = try set.volume(name)
            let file = "\(shop.folder)/fs"
            try await kind.make(at: file)
            try set.embed(file, in: volume)
            var pristine = set
            if example.storage == .qcow2WithBackingFile {
                pristine.paths = set.paths.map { $0 + ".pristine" }
                for (from, to) in zip(set.paths, pristine.paths) {
                    try await Tool.output(of: "cp", ["--sparse=always", from, to])
                }
            }
            try await kind.damage(file)
            try set.embed(file, in: volume)
            let changed = pristine.paths.count == 1 ? pristine : nil
            let images = try await shop.defineImages(of: set, example.storage, pristine: changed)
            let before = try await shop.snapshot()

            let run = try await shop.virtFsck("repair", "--no-start", "--engine", example.engine)

            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.outcome == "repaired", "\(run)")
            #expect(run.domain?.committed == true)
            #expect(run.volume(name)?.outcome == "repaired", "\(run)")
            #expect(run.volume(name)?.type == kind.rawValue)
            let after = try await shop.content(of: images, example.storage, like: set)
            try await expectSameRepair(kind, volume, before: set, after: after, in: shop)
            // What is around the filesystem, too.
            try await expectSame(set, after, in: shop)
            let snapshot = try await shop.snapshot()
            #expect(snapshot["xml"] == before["xml"])
            #expect(snapshot["definition"] == before["definition"])
            #expect(Set(snapshot.keys) == Set(before.keys))
            for (name, state) in before where name.hasSuffix(".base") { #expect(snapshot[name] == state) }
            for image in images where example.storage != .raw {
                let check = try await Tool.run("qemu-img", ["check", "-f", "qcow2", image])
                #expect(check.exitStatus == 0, "\(check.output)")
            }
        }
    }
}
