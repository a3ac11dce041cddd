/// What became of an interrupted run.
public struct RecoveryOutcome: Hashable, Sendable, Encodable {
    /// How it ended.
    public enum Outcome: String, Hashable, Sendable, Codable {
        /// The disks are what they were before the run.
        case undone
        /// The proven repair is merged into the disks.
        case finished
        /// No run was interrupted.
        case nothing
        /// The run is not interrupted: it works.
        case busy
        /// It can't be recovered now; the message says why, and what to do.
        case left
    }

    /// The domain's name, as the journal or the user said it; the journal's path where nothing of it can be believed.
    public var name: String
    /// The domain's UUID; nil where it isn't known.
    public var uuid: String?
    /// Names the run, as the folder of its logs does; nil where there was none.
    public var run: String?
    /// How it ended.
    public var outcome: Outcome
    /// What was done, or what is to be done, in words.
    public var message: String

    /// Describes an outcome.
    public init(name: String, uuid: String? = nil, run: String? = nil, outcome: Outcome, message: String) {
        self.name = name
        self.uuid = uuid
        self.run = run
        self.outcome = outcome
        self.message = message
    }
}
