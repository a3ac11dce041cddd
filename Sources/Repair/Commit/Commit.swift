import HostTools
import Libvirt

/// Merges proven repairs into the disks, so that a power cut at any instant leaves a domain that starts from either the
/// damaged original or the proven repair.
///
/// A half-merged disk is damaged by itself; with the overlay over it, it is whole. So the domain is pointed at the overlay
/// first and back when the merge is done, and from the first on the only way is forward.
struct Commit: Sendable {
    let connection: Connection
    let runner: any CommandRunner
    let daemon: StorageDaemon
    let plan: Plan
    let watch: StartGuard
    let journal: Journal

    private var disks: DomainDisks { DomainDisks(connection: connection, domain: plan.domain) }

    /// Points the domain at these overlays, and leaves it to a ``Trial`` what becomes of them.
    ///
    /// - Throws: as ``merge(_:_:)``.
    func pointForTrial(_ overlays: [Overlays.Overlay]) async throws -> Pointing {
        let pointing = try await prepare(overlays)
        do {
            try await point(pointing.substitutions, overlays)
            try journal.append(.trial)
        } catch let problem as DefineError {
            try await takeBack(pointing, because: "\(problem.reason)")
        }
        return pointing
    }

    /// Merges these overlays. No device, mapping or export may be left on them.
    ///
    /// - Throws: before the domain points at the overlays, anything that speaks against it: the disks are untouched.
    ///   Afterwards ``DomainProblem``, with the overlays kept and what to do with them.
    func merge(_ overlays: [Overlays.Overlay], _ progress: @Sendable @escaping (String) -> Void) async throws {
        let pointing = try await prepare(overlays)
        var hasMerged = false
        do {
            try await point(pointing.substitutions, overlays)
            try journal.append(.merge)
            for overlay in overlays {
                let target = overlay.disk.target
                watch.permitMerge(of: overlay.disk)
                try await daemon.merge(overlay.node, into: overlay.base) { done, total in
                    progress("\(target): merging, \(total > 0 ? done * 100 / total : 0) %")
                }
                // The daemon has flushed; the disk's own cache too shall be empty before the overlay goes.
                try Files.sync(overlay.disk.path)
                hasMerged = true
            }
            try journal.append(.merged)
            try await pointBack(pointing)
            try pointing.restoreAttributes()
        } catch QMPError.refused("block-commit", let reason) where !hasMerged {
            // Refused before the first byte (somebody reads the disk, say).
            try await takeBack(pointing, because: "the merge was refused: \(reason)")
        } catch let problem as DefineError {
            try await takeBack(pointing, because: "\(problem.reason)")
        } catch {
            throw DomainProblem(
                "the repair is proven, but its merge did not end: \(error). The domain points at "
                    + overlays.map(\.path).joined(separator: ", ")
                    + ", which holds everything: it can be started as it is; finish the merge with: virt-fsck recover "
                    + plan.domain.name)
        }
        journal.settled()
    }

    /// Makes sure that nothing speaks against the overlays, and notes what it takes to come back from them.
    private func prepare(_ overlays: [Overlays.Overlay]) async throws -> Pointing {
        let substitutions = overlays.map { overlay in
            DomainXMLEdit.Substitution(
                target: overlay.disk.target, disk: overlay.disk.path, overlay: overlay.path, chain: overlay.disk.chain)
        }
        try await checkStillOurs()
        for overlay in overlays { try checkUnchanged(overlay.disk) }
        try await checkUsers(of: overlays.map(\.disk))
        try await MergeSpace.check(overlays, runner)
        let (current, _) = try await overlayXML(overlays, substitutions)
        try await discardSavedState()
        let pointing = try Pointing(substitutions, xml: current, attributes: plan.attributes)
        try journal.append(.point(pointing))
        return pointing
    }

    /// Nobody may have started the domain, or saved it, since it was planned.
    private func checkStillOurs() async throws {
        let summary = try await connection.summary(of: plan.domain)
        guard !summary.isActive else {
            throw DomainProblem("\(plan.domain.name): was started during the repair; the repair is thrown away")
        }
        if let objection = watch.objection {
            throw DomainProblem("\(plan.domain.name): \(objection); the repair is thrown away")
        }
        guard !summary.hasManagedSave || plan.discardsSavedState else {
            throw DomainProblem("\(plan.domain.name): got a managed save during the repair; the repair is thrown away")
        }
    }

    /// A domain that was started and stopped meanwhile leaves a disk that is newer than its overlay.
    private func checkUnchanged(_ disk: DiskPlan) throws {
        let now = try FileStatus(of: disk.path)
        guard let planned = disk.status, now.isUnchanged(since: planned) else {
            throw DomainProblem(
                "\(disk.target): somebody wrote to \(disk.path) during the repair; the repair is thrown away")
        }
        // The overlay was made of what they held.
        for (layer, planned) in zip(disk.chain.dropFirst(), disk.layers) {
            guard try FileStatus(of: layer.path).isUnchanged(since: planned) else {
                throw DomainProblem(
                    "\(disk.target): somebody wrote to \(layer.path), which lies below \(disk.path), during the repair; the repair is "
                        + "thrown away")
            }
        }
    }

    /// Nobody else may have come to use the disks since they were planned.
    private func checkUsers(of disks: [DiskPlan]) async throws {
        let named = disks.map { ($0.target, $0.path) }
        guard
            let objection = try await DiskUsers.objection(
                to: named, of: plan.domain.uuid, isPlanned: true, connection, runner)
        else { return }
        throw DomainProblem("\(objection); the repair is thrown away, the disks are as they were", kind: .refusal)
    }

    /// Nothing is merged yet, so the way back is open: the disks are what they were, and the domain gets them back.
    private func takeBack(_ pointing: Pointing, because reason: String) async throws {
        do {
            try journal.append(.takeBack)
            try await pointBack(pointing)
            try pointing.restoreAttributes()
        } catch {
            throw DomainProblem(
                "\(reason); the disks are as they were, but the domain may point at "
                    + pointing.substitutions.map(\.overlay).joined(separator: ", ")
                    + ", which holds the proven repair, and could not be pointed back: \(error); try again with: "
                    + "virt-fsck recover \(plan.domain.name)")
        }
        journal.settled()
        throw DomainProblem("\(reason); the repair is thrown away, the disks are as they were")
    }

    /// The domain's XML as it is, and with the overlays in the places of its disks.
    private func overlayXML(
        _ overlays: [Overlays.Overlay], _ substitutions: [DomainXMLEdit.Substitution]
    ) async throws -> (current: String, edited: String) {
        let current = try await connection.xml(of: plan.domain, [.inactive, .secure])
        let disks = try DomainDescription(xml: current).disks
        for overlay in overlays {
            let before = try DomainDescription(xml: plan.xml).disks.first { $0.target == overlay.disk.target }
            guard let before, disks.contains(before) else {
                throw DomainProblem(
                    "\(overlay.disk.target): somebody changed it in the domain's XML during the repair; the repair is "
                        + "thrown away")
            }
        }
        let edited = try DomainXMLEdit.pointAtOverlays(current, substitutions)
        // There must be a way back before there is a way forward.
        _ = try DomainXMLEdit.pointBack(edited, to: current, substitutions)
        return (current, edited)
    }

    /// The domain could not be pointed at the overlays, or not for sure.
    private struct DefineError: Error {
        let reason: any Error
    }

    private func point(
        _ substitutions: [DomainXMLEdit.Substitution], _ overlays: [Overlays.Overlay]
    ) async throws {
        do {
            // Once more, as late as can be: libvirt would overwrite what somebody has edited meanwhile.
            let (_, edited) = try await overlayXML(overlays, substitutions)
            try await disks.point(edited, at: substitutions)
        } catch {
            throw DefineError(reason: error)
        }
    }

    private func pointBack(_ pointing: Pointing) async throws {
        let summary = try await connection.summary(of: plan.domain)
        guard !summary.isActive else {
            throw DomainProblem("\(plan.domain.name): was started on the overlay")
        }
        try await disks.pointBack(pointing.substitutions, to: pointing.xml)
        guard try await !disks.mention(pointing.substitutions) else {
            throw DomainProblem("\(plan.domain.name): somebody made a snapshot of it on the overlay")
        }
    }
}
