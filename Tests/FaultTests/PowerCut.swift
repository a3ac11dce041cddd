import Foundation
import TestSupport

/// A moment at which the power fails, and what of the writes since the last flush was quick enough.
struct PowerCut: CustomStringConvertible, Sendable {
    /// How many requests of the log were sent.
    var position: Int
    /// The seed of what reached the disk.
    var seed: UInt64

    var description: String { "power cut after request \(position), seed \(seed)" }

    /// Moments spread over a log: half of them over its requests, the other half over its flushes, because what matters most
    /// flushes most.
    static func choose(_ count: Int, from log: WriteLog, by random: inout SeededGenerator) -> [PowerCut] {
        let flushes = [0] + log.entries.indices.filter { log.entries[$0].isFlush } + [log.entries.count]
        return (0..<count).map { number in
            let seed = random.next() % 1_000_000_000
            guard number.isMultiple(of: 2), let interval = (1..<flushes.count).randomElement(using: &random) else {
                return PowerCut(position: Int.random(in: 0...log.entries.count, using: &random), seed: seed)
            }
            let moment = Int.random(in: flushes[interval - 1]...flushes[interval], using: &random)
            return PowerCut(position: moment, seed: seed)
        }.sorted { $0.position < $1.position }
    }

    /// The last request before the cut after which everything earlier is on the disk; the number of requests that are.
    func stable(in log: WriteLog) -> Int {
        (log.entries[..<position].lastIndex { $0.isFlush } ?? -1) + 1
    }

    /// Does to an image, on which everything up to ``stable(in:)`` was done, what reached the disk of the rest.
    func finish(_ image: String, from log: WriteLog) throws {
        var random = SeededGenerator(seed: seed)
        let survival: Double = [0, 0.2, 0.5, 0.8, 1].randomElement(using: &random) ?? 0.5
        try log.replay(stable(in: log)..<position, on: image) { entry in
            if entry.isForced { return nil }
            guard Double.random(in: 0..<1, using: &random) < survival else { return [] }
            guard entry.sectors > 1, Int.random(in: 0..<4, using: &random) == 0 else { return nil }
            return torn(entry, &random)
        }
    }

    /// Some of an entry's sectors. Those of ext4's own superblock (bytes 1024 to 2047) stay together: a filesystem that lost
    /// half of it is no fault of ours.
    private func torn(_ entry: WriteLog.Entry, _ random: inout SeededGenerator) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var reached = false
        for sector in 0..<entry.sectors {
            if entry.sector + sector != 3 { reached = Bool.random(using: &random) }
            if reached { parts.append(sector..<sector + 1) }
        }
        return parts
    }
}
