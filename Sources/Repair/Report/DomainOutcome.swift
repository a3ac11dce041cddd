public import Libvirt

/// What became of one domain: one row of the report.
public struct DomainOutcome: Sendable {
    /// The row's verdict.
    public enum Outcome: String, Hashable, Sendable, Codable {
        /// Everything that could be checked is clean.
        case clean
        /// Damage was found, repaired, proven and merged.
        case repaired
        /// Damage was found and can be repaired; the disk still has it.
        case repairable
        /// Damage is left.
        case unrepaired
        /// Nothing was done, and the message says why.
        case refused
        /// Something went wrong with the host, not with the filesystems.
        case failed
        /// Only the plan was made.
        case planned
    }

    /// Name, as libvirt or the user said it.
    public var name: String
    /// UUID; nil where there is no such domain.
    public var uuid: String?
    /// State and reason before anything was done.
    public var state: DomainState?
    /// The reason of that state.
    public var stateReason: StateReason?
    /// The row's verdict.
    public var outcome: Outcome
    /// What should be known besides; "" where the verdict says it all.
    public var message = ""
    /// What will be done or was done, with warnings; nil where there was nothing to plan.
    public var plan: Plan?
    /// What was found on the disks.
    public var volumes: [VolumeResult] = []
    /// Whether anything was merged into a disk.
    public var isCommitted = false
    /// Whether the user cancelled it.
    public var isCancelled = false
    /// Seconds of each stage, in the order they ran.
    public var seconds: [StageTime] = []
    /// Whether it came up.
    public var boot: Boot?
    /// Why else it may not boot, as its disks show it; nil where it was not looked for: it booted, or was not started.
    public var diagnosis: [String]?
    /// What its disks have for the firmware.
    var disks: [DiskFacts] = []
    /// Folder with everything that the checkers and the guest said; nil where nothing was done.
    public var log: String?

    /// A domain with which nothing could be done.
    public init(name: String, outcome: Outcome, message: String) {
        self.name = name
        self.outcome = outcome
        self.message = message
    }

    /// A domain with its plan.
    init(plan: Plan, outcome: Outcome, message: String = "") {
        self.init(name: plan.domain.name, outcome: outcome, message: message)
        uuid = plan.domain.uuid
        state = plan.state
        stateReason = plan.stateReason
        self.plan = plan
    }
}

extension DomainOutcome {
    /// Takes what came of the attempts and derives the row's verdict.
    mutating func take(_ summary: Attempts.Summary) {
        isCommitted = !summary.merged.isEmpty
        seconds = summary.seconds
        disks = summary.disks
        take(summary.results.map { $0.afterMerge(of: summary.merged) })
    }

    /// Keeps what was found out before something failed; that it failed stays the row's verdict.
    mutating func keep(_ summary: Attempts.Summary) {
        let (verdict, reason) = (outcome, message)
        take(summary)
        (outcome, message) = (verdict, reason)
    }

    /// Whether everything that could be checked is clean or repaired, by the verdicts.
    static func isSound(_ results: [VolumeResult]) -> Bool {
        results.contains { $0.outcome == .clean || $0.outcome == .repaired }
            && !results.contains { $0.outcome == .unrepaired || $0.outcome == .repairable }
    }

    /// Takes the verdicts of the volumes and derives the row's.
    mutating func take(_ results: [VolumeResult]) {
        volumes = results
        let outcomes = Set(results.map(\.outcome))
        if outcomes.contains(.unrepaired) {
            outcome = .unrepaired
        } else if outcomes.contains(.repairable) {
            outcome = .repairable
        } else if outcomes.contains(.repaired) {
            outcome = .repaired
        } else if outcomes.contains(.clean) {
            outcome = .clean
        } else {
            outcome = .unrepaired
            message = "nothing on its disks could be checked"
            return
        }
        let unchecked = results.count { $0.outcome == .notChecked || $0.outcome == .unsupported }
        if unchecked > 0 { message = "\(unchecked) volume\(unchecked == 1 ? "" : "s") could not be checked" }
    }

    /// Whether everything that could be checked is clean or repaired.
    var isSound: Bool { outcome == .clean || outcome == .repaired }
}
