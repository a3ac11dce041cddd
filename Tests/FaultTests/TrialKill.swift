import TestSupport

/// One way to interrupt a trial (`--commit after-boot`), and what happens until somebody recovers it.
struct TrialKill: CustomStringConvertible, Sendable {
    /// What somebody does with the domain who doesn't know of the interrupted run.
    enum Meanwhile: CaseIterable {
        case nothing
        /// Pulls its plug, where it runs.
        case stop
        /// Starts it (again, where it runs), where libvirt and QEMU let him.
        case start
        /// Starts it, and pulls its plug.
        case startAndStop
    }

    /// What is said about a repair whose guest has proven nothing.
    enum Decision: String, CaseIterable {
        case keep
        case discard
    }

    /// Who is killed.
    enum Target: Hashable {
        case run
        /// The recovery; the run has ended, or waits for a decision.
        case recovery
        /// One after the other.
        case both(recoveryAt: KillSwitch.Moment)
    }

    /// When the target is killed; of both, the run.
    var moment: KillSwitch.Moment
    var target: Target
    var victims: Kill.Victims
    var meanwhile: Meanwhile
    var decision: Decision

    var description: String {
        "\(target) \(moment), \(victims) died, then \(meanwhile), then \(decision)"
    }

    /// Moments of a run or a recovery, each with something that happens afterwards.
    ///
    /// - Parameters: as of ``KillSwitch/Moment/choose(calls:duration:_:by:)``.
    static func choose(
        _ target: Target, calls: [String], duration: Int, _ count: Int?, by random: inout SeededGenerator
    ) -> [TrialKill] {
        let half = count.map { $0 / 2 }
        let moments =
            KillSwitch.Moment.choose(calls: calls, duration: duration, half.map { (count ?? 0) - $0 }, by: &random)
            + KillSwitch.Moment.chooseAfterSteps(calls: calls, half, by: &random)
        return moments.map { moment in
            var kill = TrialKill(
                moment: moment, target: target,
                victims: Kill.Victims.allCases.randomElement(using: &random) ?? .program,
                meanwhile: Meanwhile.allCases.randomElement(using: &random) ?? .nothing,
                decision: Decision.allCases.randomElement(using: &random) ?? .keep)
            if target == .run, Int.random(in: 0..<4, using: &random) == 0 {
                kill.target = .both(recoveryAt: .init(call: Int.random(in: 1...150, using: &random)))
            }
            return kill
        }
    }
}
