import Foundation
import TestSupport
import Testing

/// Filesystems are damaged at random, put on the disk of a domain, and repaired by the whole program: what it makes of them is what
/// the bare checker makes of the same bytes, or nothing, with a reason.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(180)))
struct MutationRepairTests {
    @Test(arguments: Mutations.seeds)
    func `a repair is the bare checker's, and touches nothing else`(_ seed: UInt64) async throws {
        for (number, specimen) in Specimen.mountable.enumerated() where Mutations.include(specimen) {
            let turn = Int(truncatingIfNeeded: seed) + number
            let layouts: [DiskSet.Layout] = [.mbrPrimary, .gpt512, .lvm, .mbrLogical, .lvmSegments]
            try await Workshop.with { shop in
                let trial = Trial(
                    specimen: specimen, seed: seed, layout: layouts[turn % layouts.count],
                    storage: turn.isMultiple(of: 2) ? .qcow2 : .raw,
                    engine: TestHost.engines[turn / layouts.count % TestHost.engines.count], shop: shop)
                print("TRIAL \(trial) \(try await trial.run())")
            }
        }
    }
}

/// One damaged filesystem on one disk.
private struct Trial: CustomStringConvertible {
    let specimen: Specimen
    let seed: UInt64
    let layout: DiskSet.Layout
    let storage: Storage
    let engine: String
    let shop: Workshop

    var description: String { "\(specimen) \(seed) in \(layout) as \(storage) by \(engine)" }

    private var kind: Filesystem { specimen.filesystem }

    /// - Returns: what came of it, in a few words.
    func run() async throws -> String {
        let damaged = "\(shop.folder)/fs"
        try await specimen.make(at: damaged)
        let whole = "\(damaged).whole"
        try await Tool.output(of: "cp", ["--sparse=always", damaged, whole])
        if kind.isExt { try await Tool.output(of: "e2fsck", ["-fy", whole], allowed: [0, 1]) }
        let truth = try #require(await MountedTree(of: whole, kind))
        var generator = SeededGenerator(seed: seed, for: specimen.rawValue)
        let mutation = try await Mutation(of: damaged, kind, using: &generator)
        let size = try FileHandle.read(damaged) { Int(try $0.seekToEnd()) }
        let set = try await DiskSet.make(layout, size: size, in: shop.folder)
        let volume = try set.volume(layout.rawValue.hasPrefix("lvm") ? "guest/root" : set.volumes[0].name)
        try set.embed(damaged, in: volume)
        let images = try await shop.defineImages(of: set, storage)
        let before = try await shop.snapshot()

        let run = try await shop.virtFsck("repair", "--no-start", "--engine", engine)

        let words: Comment = "\(self): \(mutation)\n\(run)"
        let after = try await shop.content(of: images, storage, like: set)
        let result = run.report?.domains.flatMap(\.disks).flatMap(\.volumes).first { $0.name == volume.name }
        let outcome = result?.outcome ?? "nothing"
        if outcome != "repaired" {
            #expect(run.domain?.committed != true, words)
            try #expect(await shop.snapshot() == before, words)
        }
        switch outcome {
        case "clean":
            #expect(run.exitStatus == 0, words)
            try #expect(await kind.isSound(damaged), words)
        case "repaired":
            #expect(run.exitStatus == 1, words)
            let repaired = "\(shop.folder)/repaired"
            try after.extract(volume, to: repaired)
            let bare = "\(shop.folder)/bare"
            try set.extract(volume, to: bare)
            let tree = try #require(await MountedTree(of: repaired, kind), words)
            if try await !isBareRepair(bare, repaired) {
                // What xfs_repair puts into lost+found it gives a folder with the time and a number by chance.
                #expect(kind == .xfs && run.volume(volume.name)?.loss?.reconnected ?? 0 > 0, words)
                let again = "\(shop.folder)/again"
                try set.extract(volume, to: again)
                try #expect(
                    await !isBareRepair(again, bare), "the bare checker makes the same of it each time; \(words)")
                try #expect(await kind.isSound(repaired), words)
                let other = try #require(await MountedTree(of: bare, kind), words)
                #expect(other.entries == tree.entries, words)
                try FileManager.default.removeItem(atPath: bare)
                try FileManager.default.moveItem(atPath: repaired, toPath: bare)
            }
            try set.embed(bare, in: volume)
            try await expectSameDisks(set, after, words)
            let seen = try? await MountedTree(of: damaged, kind)
            let lost = seen.map { truth.lost(in: tree, seenIn: $0) } ?? truth.lost(in: tree)
            let isHeavy = lost.count * 10 > truth.entries.count
            #expect(
                !isHeavy || result?.loss?.level == "heavy", "\(lost.count) of \(truth.entries.count) lost; \(words)")
            #expect(lost.isEmpty || result?.loss?.level != "none", "\(lost.prefix(5)) lost; \(words)")
        case "nothing":
            #expect(run.domain?.message.isEmpty == false, words)
        default:
            // A heavy loss, or something that nobody repairs here: the message says which.
            #expect(result?.message.isEmpty == false, words)
            #expect(outcome != "repairable" || result?.reason?.code == "heavy-loss", words)
        }
        return
            "\(outcome) \(result?.reason?.code ?? "") \(result?.loss?.level ?? "") | \(result?.message.prefix(150) ?? "")"
            + " | \(mutation)"
    }

    /// Repairs a file by the bare checker until it is sound, or is what another one is.
    private func isBareRepair(_ bare: String, _ repaired: String) async throws -> Bool {
        for _ in 0..<3 {
            try await kind.repairBare(bare, clockOf: repaired)
            if try await Tool.run("cmp", [bare, repaired]).exitStatus == 0 { return true }
        }
        return false
    }

    private func expectSameDisks(_ set: DiskSet, _ after: DiskSet, _ words: Comment) async throws {
        for (one, other) in zip(set.paths, after.paths) {
            let difference = try await Tool.run("cmp", [one, other])
            #expect(difference.exitStatus == 0, "\(difference.output) \(words)")
        }
    }
}

/// Which mutations are tried.
enum Mutations {
    private static let environment = ProcessInfo.processInfo.environment

    /// `MUTATIONS` seeds from `MUTATION_FROM` on; one, where nothing is said.
    static let seeds: [UInt64] = {
        let first = environment["MUTATION_FROM"].flatMap(UInt64.init) ?? 0
        let count = environment["MUTATIONS"].flatMap(UInt64.init) ?? 1
        return Array(first..<first + count)
    }()

    /// Whether a specimen is among them: `MUTATION_OF` chooses one.
    static func include(_ specimen: Specimen) -> Bool {
        environment["MUTATION_OF"].map { $0 == specimen.rawValue } ?? true
    }
}
