import HostTools

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

    /// Why something was not done, as a value: the text for it is in ``VolumeResult/message``.
    public enum Reason: String, Hashable, Sendable, Codable {
        /// The repair would lose more than anybody should lose without having said so.
        case heavyLoss = "heavy-loss"
    }

    /// Which volume.
    public var volume: Volume
    /// The verdict.
    public var outcome: Outcome
    /// Why, or what else should be known; "" where the verdict says it all.
    public var message = ""
    /// Why it is not what it could be, where that is more than damage.
    public var reason: Reason?
    /// What its repair cost; nil where none was made.
    public var loss: Loss?
    /// Exit status of the last checker that decided; nil where none exited.
    public var exitStatus: Int32?
    /// How long the checkers ran, in seconds.
    public var seconds = 0.0
    /// Path of the checkers' whole output.
    public var log: String?
    /// Copies of the overlays that hold its repair, where it was not merged and the user wants to look at it.
    public var keptOverlays: [String] = []
    /// What a diagnosis needs of the filesystem that stays; nil where it was not asked for, or could not be had.
    var facts: VolumeFacts?
    /// Whether a checker gave up that may have got less memory than it wanted: alone it may do better.
    var mayLackMemory = false

    /// Whether the filesystem could be trusted now.
    var isSound: Bool { outcome == .clean || outcome == .repaired || outcome == .skipped }
    /// Whether the overlay holds a proven repair of it.
    var isProvenRepair: Bool { outcome == .repaired }

    /// Takes what its repair cost, and says so: a heavy loss is no repair that is made without being asked for.
    mutating func take(_ loss: Loss, allowing allowances: Set<Allowance>) {
        self.loss = loss
        var words = loss.words
        if loss.level == .heavy, !allowances.contains(.heavyLoss) {
            outcome = .repairable
            reason = .heavyLoss
            words = loss.refusal(log: log ?? "")
        }
        message = [message, words].filter { !$0.isEmpty }.joined(separator: "; ")
    }

    /// Takes where the overlays of its disks were kept, or why they were not.
    mutating func take(_ kept: [String: Result<String, DomainProblem>]) {
        for disk in (volume.layout?.disks ?? []).sorted() {
            switch kept[disk] {
            case .success(let path)?: keptOverlays.append(path)
            case .failure(let problem)?: message += "; the overlay could not be kept: \(problem)"
            case nil: break
            }
        }
    }

    /// What it is called when the overlays of these disks (by target) were merged, and no others: a repair that is proven,
    /// and not on the disk, is one that could be made.
    func afterMerge(of disks: Set<String>) -> VolumeResult {
        guard outcome == .repaired, !(volume.layout?.disks.isSubset(of: disks) ?? false) else { return self }
        var result = self
        result.outcome = .repairable
        return result
    }
}
