import Foundation
import HostTools
import Testing

@testable import Repair

/// What a count of lost files means.
struct LossLevelTests {
    /// A count, and what it comes to.
    struct Example: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var count: LossCount
        var level: Loss.Level
        var words: String

        init(_ level: Loss.Level, _ words: String, _ change: (inout LossCount) -> Void) {
            count = LossCount()
            change(&count)
            self.level = level
            self.words = words
            testDescription = "\(level.rawValue): \(count)"
        }
    }

    @Test(arguments: [
        Example(.none, "") { _ in },
        Example(.none, "") { ($0.before, $0.after) = (200, 200) },
        Example(.minor, "20 of 200 files lost (20 gone)") { ($0.before, $0.after) = (200, 180) },
        Example(.heavy, "19 of 200 files lost (19 gone)") { ($0.before, $0.after, $0.doubtful) = (200, 181, 5) },
        Example(.minor, "15 of 200 files lost (15 gone)") { ($0.before, $0.after, $0.doubtful) = (200, 185, 50) },
        Example(.heavy, "21 of 200 files lost (21 gone)") { ($0.before, $0.after) = (200, 179) },
        Example(.heavy, "21 of 200 files lost (1 gone, 20 in lost+found)") {
            ($0.before, $0.after, $0.reconnected) = (200, 179, 20)
        },
        Example(.heavy, "1,300 of 2,000 files lost (1,300 with other content)") {
            ($0.before, $0.after, $0.altered) = (2000, 2000, 1300)
        },
        // A handful without a name is nothing to be afraid of, where most files stayed; files that had a name are.
        Example(.minor, "3 of 7 files lost (3 in lost+found)") { ($0.before, $0.after, $0.reconnected) = (7, 4, 3) },
        Example(.heavy, "3 of 5 files lost (3 in lost+found)") { ($0.before, $0.after, $0.reconnected) = (5, 2, 3) },
        Example(.minor, "2 of 2 files lost (1 gone, 1 in lost+found)") {
            ($0.before, $0.reconnected, $0.disputed, $0.unnamed) = (2, 1, 1, 1)
        },
        Example(.minor, "2 of 2 files lost (2 gone)") { ($0.before, $0.unnamed) = (2, 2) },
        Example(.minor, "3 of 8 files lost (3 in lost+found)") { ($0.before, $0.after, $0.reconnected) = (8, 5, 3) },
        Example(.heavy, "3 of 8 files lost (3 in lost+found)") {
            ($0.before, $0.after, $0.reconnected, $0.lacksNames) = (8, 5, 3, true)
        },
        Example(.heavy, "3 of 3 files lost (1 gone, 2 in lost+found)") {
            ($0.before, $0.reconnected, $0.unnamed) = (3, 2, 1)
        },
        Example(.heavy, "4 of 4 files lost (4 gone)") { ($0.before, $0.unnamed) = (4, 4) },
        Example(.heavy, "2 of 2 files lost (2 gone)") { ($0.before, $0.unnamed) = (2, 1) },
        Example(.heavy, "the root folder was lost and made anew") {
            ($0.before, $0.after, $0.hasNewRoot) = (200, 200, true)
        },
        Example(
            .minor, "no file lost; 7 of 200 failed a checksum before, and may not hold what they held"
        ) { ($0.before, $0.after, $0.doubtful) = (200, 200, 7) },
        // A bad sector of a FAT's table makes chains that never were files.
        Example(.minor, "120 of 320 files lost (60 gone, 60 in lost+found)") {
            ($0.before, $0.after, $0.reconnected, $0.disputed, $0.unnamed) = (320, 200, 60, 60, 60)
        },
        Example(.heavy, "200 of 210 files lost (200 in lost+found)") {
            ($0.before, $0.after, $0.reconnected, $0.disputed) = (210, 10, 200, 50)
        },
        Example(.minor, "no file of 200 lost, but the changes that its journal still held") {
            ($0.before, $0.after, $0.hasLostJournal) = (200, 200, true)
        },
        Example(
            .heavy, "no file of 200 lost, but a part of the original could not be read: there may have been more"
        ) { ($0.before, $0.after, $0.isIncomplete) = (200, 200, true) },
    ])
    func `a count has a level and words`(_ example: Example) {
        let loss = Loss(example.count)
        #expect(loss.level == example.level)
        #expect(loss.words == example.words)
    }

    @Test func `a level that is known otherwise is the least`() {
        var count = LossCount()
        (count.before, count.after) = (200, 200)
        #expect(Loss(count, atLeast: .minor).level == .minor)
        #expect(Loss(uncounted: "a crash", touchesFiles: true).level == .heavy)
        #expect(Loss(uncounted: "a crash", touchesFiles: false).level == .minor)
        #expect(Loss(uncounted: "a crash", touchesFiles: false).words.contains("a crash"))
    }

    @Test func `a heavy loss is no repair unless it is allowed`() {
        var count = LossCount()
        (count.before, count.reconnected, count.hasNewRoot) = (307, 307, true)
        for allowances in [[], [Allowance.heavyLoss]] as [Set<Allowance>] {
            var result = VolumeResult(volume: Sample.volume(), outcome: .repaired, log: "/log")
            result.take(Loss(count), allowing: allowances)
            #expect(result.loss?.level == .heavy)
            if allowances.isEmpty {
                #expect(result.outcome == .repairable)
                #expect(result.reason == .heavyLoss)
                #expect(
                    result.message
                        == "heavy loss: 307 of 307 files would be gone, changed or without a name, the root folder among them; "
                        + "nothing was merged; look at /log; to merge all the same: --allow heavy-loss")
            } else {
                #expect(result.outcome == .repaired)
                #expect(result.reason == nil)
                #expect(result.message == "307 of 307 files lost (307 in lost+found)")
            }
        }
    }
}
