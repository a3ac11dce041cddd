/// What was found out about one volume, and what was done.
public struct VolumeResult: Hashable, Sendable {
    /// The verdict: what was proven, never more.
    public enum Outcome: String, Hashable, Sendable, Codable {
        /// A repairing run found nothing to change, and a read-only run on the original found nothing wrong.
        case clean
        /// Repaired, and a read-only run through a fresh view found nothing wrong.
        case repaired
        /// The same, but on a throw-away overlay: the disk still has the damage.
        case repairable
        /// Damage is left; the volume is bit for bit what it was.
        case unrepaired
        /// We know what it is and have no way to check it here.
        case unsupported
        /// It was not checked, and the message says why.
        case notChecked = "not-checked"
        /// Nothing that is ever checked: swap and the like.
        case skipped
    }

    /// Which volume.
    public var volume: Volume
    /// The verdict.
    public var outcome: Outcome
    /// Why, or what else should be known; "" where the verdict says it all.
    public var message = ""
    /// Exit status of the last checker that decided; nil where none exited.
    public var exitStatus: Int32?
    /// How long the checkers ran, in seconds.
    public var seconds = 0.0
    /// Path of the checkers' whole output.
    public var log: String?
    /// What a diagnosis needs of the filesystem that stays; nil where it was not asked for, or could not be had.
    var facts: VolumeFacts?
    /// Whether a checker gave up that may have got less memory than it wanted: alone it may do better.
    var mayLackMemory = false

    /// Whether the filesystem could be trusted now.
    var isSound: Bool { outcome == .clean || outcome == .repaired || outcome == .skipped }
    /// Whether the overlay holds a proven repair of it.
    var isProvenRepair: Bool { outcome == .repaired }

    /// What it is called when the overlays of these disks (by target) were merged, and no others: a repair that is proven,
    /// and not on the disk, is one that could be made.
    func afterMerge(of disks: Set<String>) -> VolumeResult {
        guard outcome == .repaired, !(volume.layout?.disks.isSubset(of: disks) ?? false) else { return self }
        var result = self
        result.outcome = .repairable
        return result
    }
}
