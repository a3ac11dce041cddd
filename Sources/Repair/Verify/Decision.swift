/// What becomes of the overlays, decided from the results alone. Pure.
enum Decision: Hashable {
    /// The disks stay as they are.
    case discard
    /// The overlays of these disks (by target) are merged. Nothing but these volumes, whose repairs are proven, may differ from
    /// the disks then.
    case merge(disks: Set<String>, volumes: Set<Volume>)

    /// - Parameter writable: targets of the disks that may change.
    init(_ results: [VolumeResult], writable: Set<String>) {
        let proven = results.filter { $0.isProvenRepair && ($0.volume.layout?.disks.isSubset(of: writable) ?? false) }
        guard !proven.isEmpty else {
            self = .discard
            return
        }
        self = .merge(
            disks: proven.reduce(into: []) { $0.formUnion($1.volume.layout?.disks ?? []) },
            volumes: Set(proven.map(\.volume)))
    }
}
