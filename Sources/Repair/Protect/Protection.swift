import HostTools

/// The overlays that stand between the checkers and a domain's disks.
struct Overlays: Sendable {
    /// The overlay of each disk by the disk's target.
    struct Overlay: Sendable {
        let disk: DiskPlan
        /// The overlay's file.
        let path: String
        /// The daemon's node of the disk itself, opened read-only.
        let base: String
        /// The daemon's node of the overlay.
        let node: String
    }

    let all: [Overlay]

    /// The nodes that checkers write to, by target.
    var nodes: [String: String] { Dictionary(uniqueKeysWithValues: all.map { ($0.disk.target, $0.node) }) }
    /// The nodes of the disks themselves, by target.
    var bases: [String: String] { Dictionary(uniqueKeysWithValues: all.map { ($0.disk.target, $0.base) }) }
}

/// Opens disks in the daemon: read-only, with the formats that the plan names, never probed.
struct Protection: Sendable {
    let daemon: StorageDaemon
    let journal: Journal

    /// Opens every disk of the plan. From here on the daemon holds their image locks.
    func openDisks(_ disks: [DiskPlan]) async throws {
        for disk in disks {
            try await daemon.open(disk.chain, as: Self.baseNode(disk))
        }
    }

    /// Puts an overlay over every disk for the time of `body`, and throws it away afterwards.
    func withOverlays<Value: Sendable>(
        over disks: [DiskPlan], _ body: (Overlays) async throws -> Value
    ) async throws -> Value {
        try await withAll(disks[...]) { disk, inner in
            try await withOverlay(over: disk, inner)
        } body: { overlays in
            try await body(Overlays(all: overlays))
        }
    }

    private func withOverlay<Value: Sendable>(
        over disk: DiskPlan, _ body: (Overlays.Overlay) async throws -> Value
    ) async throws -> Value {
        let path = Self.overlayPath(disk, run: journal.header.run)
        let overlay = Overlays.Overlay(
            disk: disk, path: path, base: Self.baseNode(disk), node: "overlay-\(FileName.safe(disk.target))")
        guard let image = disk.chain.first else { throw DomainProblem("\(disk.target): has no image") }
        try OverlayFile.create(path, like: disk.path)
        let daemon = daemon
        let journal = journal
        return try await scoped {
            try await daemon.createOverlay(
                overlay.node, path: path, size: disk.size, over: overlay.base, backing: image)
            return try await body(overlay)
        } close: {
            // Closing fails where it was never opened, or the daemon is gone: the file goes all the same.
            try? await daemon.close(overlay.node)
            try? await daemon.close("\(overlay.node)-file")
            if !journal.isOpenEnded { try OverlayFile.remove(path) }
        }
    }

    /// Where the overlay of a disk is.
    static func overlayPath(_ disk: DiskPlan, run: String) -> String {
        "\(disk.overlayFolder)/\(OverlayName.make(disk: disk.path, target: disk.target, run: run))"
    }

    private static func baseNode(_ disk: DiskPlan) -> String { "disk-\(FileName.safe(disk.target))" }
}
