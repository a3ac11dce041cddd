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
    /// File with what its console said; nil where it said nothing, or has none.
    public var console: String?
    /// File with a picture of its screen (PNG); nil where none was taken.
    public var screenshot: String?

    /// A domain that stays off, and why.
    static func notStarted(_ why: String) -> Boot { Boot(outcome: .notStarted, evidence: why, seconds: 0) }
}
