/// What becomes of the overlays, decided from the results alone. Pure.
enum Decision: Hashable {
    /// The disks stay as they are.
    case discard
    /// The overlays of these disks (by target) hold nothing but proven repairs: merge them.
    case merge(disks: Set<String>)
    /// A disk holds proven repairs beside something that must not be merged: once more, with these volumes only.
    case redo(volumes: Set<String>)

    /// - Parameters:
    ///   - writable: targets of the disks that may change.
    init(_ results: [VolumeResult], writable: Set<String>) {
        let proven = results.filter { $0.isProvenRepair && ($0.volume.layout?.disks.isSubset(of: writable) ?? false) }
        let disks = proven.reduce(into: Set()) { $0.formUnion($1.volume.layout?.disks ?? []) }
        guard !proven.isEmpty else {
            self = .discard
            return
        }
        let names = Set(proven.map(\.volume.name))
        let spoiled = results.contains { result in
            let wasWritten = result.outcome == .unrepaired || result.isProvenRepair
            return wasWritten && !names.contains(result.volume.name)
                && !(result.volume.layout?.disks.isDisjoint(with: disks) ?? true)
        }
        self = spoiled ? .redo(volumes: names) : .merge(disks: disks)
    }
}
