import Libvirt

/// Whether a domain came up after the run, and how we know.
public struct Boot: Hashable, Sendable, Codable {
    /// What was proven.
    public enum Outcome: String, Hashable, Sendable, Codable {
        /// The guest said so.
        case booted
        /// It did not start, or the guest said that it failed.
        case failed
        /// It runs, and nothing more is known: "started" is not "booted".
        case unknown
        /// It was not started.
        case notStarted = "not-started"
    }

    /// What was proven.
    public var outcome: Outcome
    /// The words or the state that prove it.
    public var evidence: String
    /// From the start to the evidence.
    public var seconds: Double

    /// A domain that stays off, and why.
    static func notStarted(_ why: String) -> Boot { Boot(outcome: .notStarted, evidence: why, seconds: 0) }
}

/// Starts a domain.
struct Start: Sendable {
    let connection: Connection

    /// Starts it and says what is known then.
    func start(_ domain: DomainID) async -> Boot {
        let begin = ContinuousClock.now
        do {
            try await connection.start(domain)
            let state = try await connection.summary(of: domain).state
            return Boot(
                outcome: state == .running ? .unknown : .failed,
                evidence: "libvirt says \(state.rawValue)"
                    + (state == .running ? "; whether the guest boots was not watched" : ""),
                seconds: (ContinuousClock.now - begin).inSeconds)
        } catch {
            return Boot(
                outcome: .failed, evidence: "it could not be started: \(error)",
                seconds: (ContinuousClock.now - begin).inSeconds)
        }
    }
}
