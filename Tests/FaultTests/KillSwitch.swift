import Foundation
import TestSupport

/// The library that kills virt-fsck before a call of its choice; `Tests/KillSwitch/KillSwitch.c` has the details.
enum KillSwitch {
    /// When the program is killed.
    struct Moment: Hashable, CustomStringConvertible, Sendable {
        /// The number of the call, from 1 on.
        var call: Int
        /// What the calls that count have in their lines; "" for all.
        var matching = ""
        /// Microseconds: the call is done, and the program killed so long after its begin; nil: before it.
        var delay: Int?

        var description: String {
            let calls = matching.isEmpty ? "call" : "call with \(matching)"
            return "killed \(delay.map { "\($0) µs after" } ?? "before") \(calls) number \(call)"
        }
    }

    /// The library; built beside the program.
    static var library: String? { VirtFsck.killSwitch }

    /// What the environment of virt-fsck needs.
    ///
    /// - Parameters:
    ///   - moment: when it is killed; nil for never.
    ///   - log: a file for the calls.
    static func environment(_ moment: Moment?, log: String? = nil) throws -> [String: String] {
        guard let library else { throw ToolError(description: "libKillSwitch.so is not beside virt-fsck") }
        var variables = ["LD_PRELOAD": library]
        if let moment {
            variables["KILL_SWITCH_AT"] = "\(moment.call)"
            variables["KILL_SWITCH_MATCH"] = moment.matching
            variables["KILL_SWITCH_DELAY"] = moment.delay.map { "\($0)" }
        }
        variables["KILL_SWITCH_LOG"] = log
        return variables
    }
}

extension KillSwitch.Moment {
    /// Every call on the journal, and moments spread over the whole of a program's work.
    ///
    /// - Parameters:
    ///   - calls: those of a run that nobody interrupted, as ``KillSwitch`` logs them.
    ///   - duration: of that run, in microseconds from its first call to its last.
    ///   - count: how many; nil for every call on the journal, and 4 other moments for each.
    static func choose(
        calls: [String], duration: Int, _ count: Int?, by random: inout SeededGenerator
    ) -> [KillSwitch.Moment] {
        let steps = calls.filter { $0.contains(journal) }.indices.map { Self(call: $0 + 1, matching: journal) }
        let others = (0..<(count ?? 4 * steps.count)).map { number in
            // Alternately by calls, of which the end has most, and by time, of which the checkers take most.
            number.isMultiple(of: 2)
                ? Self(
                    call: Int.random(in: 1...calls.count, using: &random),
                    delay: Bool.random(using: &random) ? nil : Int.random(in: 0...5000, using: &random))
                : Self(call: 1, delay: Int.random(in: 0...duration, using: &random))
        }
        guard let count else { return steps + others }
        return Array(steps.shuffled(using: &random).prefix(count / 2) + others.prefix(count - count / 2))
    }

    /// Moments within half a second after a call on the journal: while libvirt does what the entry says.
    ///
    /// - Parameters:
    ///   - calls: as of ``choose(calls:duration:_:by:)``.
    ///   - count: how many; nil for 3 for each call on the journal.
    static func chooseAfterSteps(
        calls: [String], _ count: Int?, by random: inout SeededGenerator
    ) -> [KillSwitch.Moment] {
        let steps = calls.filter { $0.contains(journal) }.count
        guard steps > 0 else { return [] }
        return (0..<(count ?? 3 * steps)).map { _ in
            Self(
                call: Int.random(in: 1...steps, using: &random), matching: journal,
                delay: Int.random(in: 0...500_000, using: &random))
        }
    }

    /// What calls on the journal have in their lines.
    private static let journal = ".journal"
}
