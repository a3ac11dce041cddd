import Foundation
import HostTools
import TestSupport
import Testing

@testable import Repair

/// One filesystem, damaged, and repaired by the bare checker.
struct LossTrial {
    private static let emptyFile = "f d41d8cd98f00b204e9800998ecf8427e"

    let specimen: Specimen
    /// Where to build it; files beside it have its name and an ending.
    let path: String

    /// Damages, repairs, and compares what is measured with the mounted trees.
    ///
    /// - Parameter damage: damages the filesystem in a file, and says what it did.
    /// - Returns: what came of it, in one line; it begins with `MISSED` where more was lost than was measured.
    func run(_ damage: (String) async throws -> String) async throws -> String {
        let original = path
        try await specimen.make(at: original)
        let kind = specimen.filesystem
        let whole = "\(original).whole"
        try FileManager.default.copyItem(atPath: original, toPath: whole)
        if kind.isExt { try await Tool.output(of: "e2fsck", ["-fy", whole], allowed: [0, 1]) }
        let truth = try #require(await MountedTree(of: whole, kind))
        let mutation = try await damage(original)
        let repaired = "\(original).repaired"
        try await Tool.output(of: "cp", ["--sparse=always", original, repaired])
        let keeps = ProcessInfo.processInfo.environment["MUTATION_KEEP"] != nil
        defer {
            if !keeps { for path in [original, whole, repaired] { try? FileManager.default.removeItem(atPath: path) } }
        }
        var log = ""
        var isSound = false
        for _ in 0..<3 where !isSound {
            let run: ToolResult
            switch kind {
            case .ext2, .ext3, .ext4: run = try await Tool.run("e2fsck", ["-f", "-y", repaired])
            case .vfat: run = try await Tool.run("fsck.fat", ["-a", repaired])
            case .xfs: run = try await Tool.run("xfs_repair", ["-e", "-f", "-L", repaired])
            }
            log += run.output + run.errorOutput
            if keeps { try log.write(toFile: "\(original).log", atomically: false, encoding: .utf8) }
            guard kind.isExt ? run.exitStatus < 4 : [0, 1, 4].contains(run.exitStatus) else {
                return "gave-up \(run.exitStatus) | \(mutation)"
            }
            isSound = try await kind.isSound(repaired)
            if run.exitStatus == 0, isSound, try await kind.isSound(original) { return "clean | \(mutation)" }
        }
        guard isSound else { return "unsound | \(mutation)" }
        guard let now = try await MountedTree(of: repaired, kind) else { return "unmountable | \(mutation)" }
        let all = truth.lost(in: now)
        let damaged = try? await MountedTree(of: original, kind)
        let seen = damaged.map { truth.lost(in: now, seenIn: $0) } ?? all
        // Of an empty file a FAT knows no more than its name: where that is gone, nothing tells that there was one.
        let lost = seen.filter { kind != .vfat || truth.entries[$0] != Self.emptyFile }
        let count = try LossMeasurement.count(of: kind.rawValue, original: original, repaired: repaired)
        let truly = lost.isEmpty ? "none" : lost.count * 10 > truth.entries.count ? "heavy" : "minor"
        let verdict = count.level
        let isHeavy = all.count * 10 > truth.entries.count
        let sign =
            verdict == truly
            ? "ok"
            : verdict == "none" || truly == "heavy"
                ? "MISSED" : verdict == "heavy" ? (isHeavy ? "ok" : "FALSEHEAVY") : "falseminor"
        let unseen = all.count - lost.count
        return
            "\(sign) truth \(truly) \(lost.count)\(unseen > 0 ? "+\(unseen) unseen" : "")/\(truth.entries.count) measured \(verdict) \(count.words) | \(mutation) | \(lost.prefix(4))"
    }
}

extension LossCount {
    var level: String { Loss(self).level.rawValue }
    var words: String {
        "before \(before) after \(after) reconnected \(reconnected) moved \(moved) altered \(altered) doubtful \(doubtful)\(hasNewRoot ? " NEWROOT" : "")\(isIncomplete ? " incomplete" : "")"
    }
}
