import Foundation
import TestSupport

/// One way to interrupt a run, and what happens to its domain until somebody recovers it.
struct Kill: CustomStringConvertible, Sendable {
    /// Who dies.
    enum Victims: CaseIterable {
        /// The program: what it has started lives on.
        case program
        /// Everything that it has started, too, as when a control group is killed.
        case everything
    }

    /// What somebody does who doesn't know of the interrupted run.
    enum Meanwhile: CaseIterable {
        case nothing
        /// Starts the domain, where libvirt and QEMU let him, and ends it.
        case start
        /// The same, and recovers the run while the domain runs.
        case startAndRecover
    }

    /// How the run is recovered.
    enum Way {
        case recover
        /// By the next repair of the domain.
        case repair
        /// The recovery is killed, too, and done again.
        case recoverAgain(KillSwitch.Moment)
    }

    var moment: KillSwitch.Moment
    var victims: Victims
    var meanwhile: Meanwhile
    var way: Way

    var description: String { "\(moment), \(victims) died, then \(meanwhile), then \(way)" }

    /// Every call on the journal, and as many moments spread over the whole run.
    ///
    /// - Parameters:
    ///   - calls: those of a run that nobody interrupted, as ``KillSwitch`` logs them.
    ///   - duration: of that run, in microseconds from its first call to its last.
    ///   - count: how many; nil for every call on the journal, and 4 other moments for each.
    static func choose(
        calls: [String], duration: Int, _ count: Int?, by random: inout SeededGenerator
    ) -> [Kill] {
        let steps = calls.filter { $0.contains(Self.journal) }.indices.map {
            KillSwitch.Moment(call: $0 + 1, matching: Self.journal)
        }
        let others = (0..<(count ?? 4 * steps.count)).map { number in
            // Alternately by calls, of which the end has most, and by time, of which the checkers take most.
            number.isMultiple(of: 2)
                ? KillSwitch.Moment(
                    call: Int.random(in: 1...calls.count, using: &random),
                    delay: Bool.random(using: &random) ? nil : Int.random(in: 0...5000, using: &random))
                : KillSwitch.Moment(call: 1, delay: Int.random(in: 0...duration, using: &random))
        }
        var moments = steps + others
        if let count {
            moments = Array(steps.shuffled(using: &random).prefix(count / 2) + others.prefix(count - count / 2))
        }
        return moments.map { moment in
            Kill(
                moment: moment, victims: Victims.allCases.randomElement(using: &random) ?? .program,
                meanwhile: Meanwhile.allCases.randomElement(using: &random) ?? .nothing, way: way(by: &random))
        }
    }

    private static func way(by random: inout SeededGenerator) -> Way {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: .repair
        // A recovery with a merge has somewhat fewer calls.
        case 1: .recoverAgain(KillSwitch.Moment(call: Int.random(in: 1...100, using: &random)))
        default: .recover
        }
    }

    private static let journal = ".journal"
}
