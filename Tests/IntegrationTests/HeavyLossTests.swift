import Foundation
import TestSupport
import Testing

/// A filesystem that is consistent and empty is not repaired.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct HeavyLossTests {
    @Test(arguments: TestHost.engines)
    func `a heavy loss is not merged, and its overlay can be looked into`(_ engine: String) async throws {
        try await Workshop.with { shop in
            let (set, images) = try await make(in: shop)
            let kept = "\(shop.folder)/kept"
            try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
            let before = try await shop.snapshot()

            let check = try await shop.virtFsck("check", "--engine", engine)
            expectHeavy(check, beside: "repairable")
            #expect(check.volume("VolGroup00/LogVol00")?.keptOverlays == nil)
            try #expect(await shop.snapshot() == before)

            // The volume beside it is repaired and merged; what was kept shows the other one as it would be.
            let run = try await shop.virtFsck("repair", "--engine", engine, "--keep-overlay", kept)
            expectHeavy(run, beside: "repaired")
            #expect(run.domain?.committed == true)
            #expect(run.domain?.boot.outcome == "not-started", "\(run)")
            let overlays = try #require(run.volume("VolGroup00/LogVol00")?.keptOverlays)
            #expect(overlays.count == 1)
            try #expect(FileManager.default.contentsOfDirectory(atPath: kept).map { "\(kept)/\($0)" } == overlays)
            let after = try await shop.content(of: images, .qcow2, like: set)
            try await expectSameRepair(.ext3, try set.volume("vda1"), before: set, after: after, in: shop)
            try await expectSame(set, after, in: shop)
            let looked = try await shop.content(of: overlays, .qcow2, like: set)
            let root = "\(shop.folder)/root"
            try looked.extract(try set.volume("VolGroup00/LogVol00"), to: root)
            try #expect(await Filesystem.ext4.isSound(root))
            let tree = try #require(await MountedTree(of: root, .ext4))
            #expect(tree.entries.keys.allSatisfy { $0.hasPrefix("lost+found/") }, "\(tree.entries.keys)")
            #expect(tree.entries.count > 100)
        }
    }

    @Test func `who allows a heavy loss gets it, and is told what it cost`() async throws {
        try await Workshop.with { shop in
            _ = try await make(in: shop)
            let run = try await shop.virtFsck("repair", "--no-start", "--allow", "heavy-loss")
            #expect(run.exitStatus == 1, "\(run)")
            let root = try #require(run.volume("VolGroup00/LogVol00"))
            #expect(root.outcome == "repaired", "\(run)")
            #expect(root.loss?.level == "heavy")
            #expect(root.loss?.newRoot == true)
            #expect(root.reason == nil)
        }
    }

    @Test func `a place for overlays that can't be is said at once, one that gets full at the end`() async throws {
        try await Workshop.with { shop in
            _ = try await make(in: shop)
            for (place, words) in [("kept", "absolute"), ("/nowhere/at/all", "folder")] {
                let run = try await VirtFsck.run(["repair", "--keep-overlay", place, shop.name])
                #expect(run.exitStatus == 16, "\(run)")
                #expect(run.errorOutput.contains(words), "\(run)")
            }
            let place = "\(shop.folder)/small"
            try await SmallFilesystem.with(mebibytes: 1, at: place, in: shop.folder) {
                try await SmallFilesystem.fill("\(place)/full", leaving: 0)
                let run = try await shop.virtFsck("check", "--keep-overlay", place)
                expectHeavy(run, beside: "repairable")
                #expect(
                    run.volume("VolGroup00/LogVol00")?.message.contains("could not be kept") == true, "\(run)")
                try #expect(FileManager.default.contentsOfDirectory(atPath: place).sorted() == ["full", "lost+found"])
            }
        }
    }

    /// The recipe's disk with damage to both filesystems; e2fsck makes the root folder of the second one anew.
    private func make(in shop: Workshop) async throws -> (set: DiskSet, images: [String]) {
        let set = try await DiskSet.makeRecipe(boot: 8 << 20, root: 16 << 20, swap: 4 << 20, in: shop.folder)
        let swap = "\(shop.folder)/swap"
        try DiskSet.createSparse(swap, size: 4 << 20)
        try await Tool.output(of: "mkswap", ["-q", swap])
        try set.embed(swap, in: try set.volume("VolGroup00/LogVol01"))
        for (name, kind) in [("vda1", Filesystem.ext3), ("VolGroup00/LogVol00", .ext4)] {
            let volume = try set.volume(name)
            let file = "\(shop.folder)/fs"
            try await kind.make(at: file, size: volume.size)
            if kind == .ext4 {
                try await Filesystem.debugfs(file, "clri <2>")
            } else {
                try await kind.damage(file)
            }
            try set.embed(file, in: volume)
        }
        return (set, try await shop.defineImages(of: set, .qcow2))
    }

    private func expectHeavy(_ run: VirtFsck.Run, beside outcome: String) {
        #expect(run.exitStatus == (outcome == "repaired" ? 5 : 4), "\(run)")
        #expect(run.volume("vda1")?.outcome == outcome, "\(run)")
        let root = run.volume("VolGroup00/LogVol00")
        #expect(root?.outcome == "repairable", "\(run)")
        #expect(root?.reason?.code == "heavy-loss")
        #expect(root?.loss?.level == "heavy")
        #expect(root?.message.contains("heavy loss") == true)
    }
}
