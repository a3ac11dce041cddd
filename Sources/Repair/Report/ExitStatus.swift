/// Exit status as in fsck(8): bits, OR-ed over the domains.
public struct ExitStatus: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: Int32

    /// A status with these bits.
    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// 1: errors were repaired.
    public static let repaired = ExitStatus(rawValue: 1)
    /// 2: repaired, but the domain did not come up.
    public static let notStarted = ExitStatus(rawValue: 2)
    /// 4: errors are left, or a volume could not be checked.
    public static let errorsLeft = ExitStatus(rawValue: 4)
    /// 8: something went wrong with the host, or the domain was refused.
    public static let operational = ExitStatus(rawValue: 8)
    /// 16: wrong usage.
    public static let usage = ExitStatus(rawValue: 16)
    /// 32: cancelled by the user.
    public static let cancelled = ExitStatus(rawValue: 32)

    /// The status for a report.
    public init(_ outcomes: [DomainOutcome]) {
        self = outcomes.reduce([]) { $0.union(ExitStatus($1)) }
    }

    /// One domain's share.
    public init(_ outcome: DomainOutcome) {
        switch outcome.outcome {
        case .clean, .planned: self = []
        case .repaired: self = .repaired
        case .repairable, .unrepaired: self = .errorsLeft
        case .refused, .failed:
            // What was found before it failed stands in the report, and says nothing of what is on the disks now.
            self = outcome.isCancelled ? .cancelled : .operational
            return
        }
        for volume in outcome.volumes {
            switch volume.outcome {
            case .unsupported, .notChecked, .unrepaired, .repairable: insert(.errorsLeft)
            case .repaired: insert(.repaired)
            case .clean, .skipped: break
            }
        }
        if outcome.boot?.outcome == .failed {
            // A trial that failed has a repair, too, that is not on the disk.
            let hasRepair = outcome.isCommitted || outcome.volumes.contains { $0.outcome == .repairable }
            insert(hasRepair ? .notStarted : .operational)
        }
    }
}
