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

    /// Every call on the journal, and as many moments spread over the whole run; each with something that happens afterwards.
    ///
    /// - Parameters: as of ``KillSwitch/Moment/choose(calls:duration:_:by:)``.
    static func choose(
        calls: [String], duration: Int, _ count: Int?, by random: inout SeededGenerator
    ) -> [Kill] {
        KillSwitch.Moment.choose(calls: calls, duration: duration, count, by: &random).map { moment in
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
}
