import HostTools

/// What keeps two volumes of a domain from being checked at once, for no gain or at all.
struct Contention: Sendable {
    /// By target of the domain's disk.
    private let resources: [String: Set<String>]

    init(_ plan: Plan) {
        resources = Dictionary(
            plan.attached.map { disk in
                let files = disk.chain.map(\.path) + [disk.overlayFolder]
                let rotating = files.reduce(into: Set()) { $0.formUnion(RotatingDisk.all(below: $1)) }
                return (disk.target, Self.resources(of: disk.target, on: rotating, plan.mapping))
            }
        ) { first, _ in first }
    }

    /// - Parameter rotating: disks of the host that hold the image, or its overlay. Two checkers move the heads to and fro.
    static func resources(of target: String, on rotating: Set<RotatingDisk>, _ mapping: MappingKind) -> Set<String> {
        var resources = Set(rotating.map { "host's \($0.number)" })
        // QEMU's raw node with offset and size keeps others from resizing what it lies on, which its FUSE export wants to be
        // able to: two such exports on one disk are refused.
        if mapping == .daemonNodes { resources.insert(target) }
        return resources
    }

    /// What a volume has to itself.
    func resources(of volume: Volume) -> Set<String> {
        (volume.layout?.disks ?? []).reduce(into: []) { $0.formUnion(resources[$1] ?? []) }
    }
}
