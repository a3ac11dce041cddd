/// What becomes of the overlays, decided from the results alone. Pure.
enum Decision: Hashable {
    /// The disks stay as they are.
    case discard
    /// The overlays of these disks (by target) hold nothing but proven repairs: merge them.
    case merge(disks: Set<String>)
    /// A disk holds proven repairs beside something that must not be merged: once more, with these volumes only.
    case redo(volumes: Set<Volume>)

    /// - Parameters:
    ///   - writable: targets of the disks that may change.
    ///   - written: the volumes that checkers wrote to on these overlays; nil for all. The results of others are from the
    ///     pass before.
    init(_ results: [VolumeResult], writable: Set<String>, written: Set<Volume>? = nil) {
        let results = results.filter { written?.contains($0.volume) ?? true }
        let proven = results.filter { $0.isProvenRepair && ($0.volume.layout?.disks.isSubset(of: writable) ?? false) }
        let disks = proven.reduce(into: Set()) { $0.formUnion($1.volume.layout?.disks ?? []) }
        guard !proven.isEmpty else {
            self = .discard
            return
        }
        let volumes = Set(proven.map(\.volume))
        let spoiled = results.contains { result in
            let wasWritten = result.outcome == .unrepaired || result.isProvenRepair
            return wasWritten && !volumes.contains(result.volume)
                && !(result.volume.layout?.disks.isDisjoint(with: disks) ?? true)
        }
        self = spoiled ? .redo(volumes: volumes) : .merge(disks: disks)
    }
}
