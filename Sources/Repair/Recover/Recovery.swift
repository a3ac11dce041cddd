import HostTools
import Libvirt
import SystemPackage

/// Brings an interrupted run to one of two ends: the disks as they were, or the proven repair merged.
///
/// Everything is decided from the journal *and* from what is there now: the domain's XML, its state, the files. Each step may
/// be interrupted in its turn, and is done again then.
struct Recovery: Sendable {
    let connection: Connection
    let runner: any CommandRunner
    let record: JournalRecord
    let decision: RecoveryDecision
    let progress: @Sendable (String) -> Void

    private var name: String { record.header.domain }

    /// Recovers the run. The caller holds the domain's lock.
    ///
    /// - Throws: ``DomainProblem`` and others where it can't be recovered now; the journal stays.
    func run() async throws -> RecoveryOutcome {
        // Nobody cancels it: half a recovery helps nobody.
        try await Task { try await recover() }.value
    }

    private func recover() async throws -> RecoveryOutcome {
        guard try await connection.uri() == record.header.connection else {
            throw DomainProblem(
                "\(name): belongs to another connection: virt-fsck recover --connect \(record.header.connection)")
        }
        progress("recovering run \(record.header.run) of \(record.header.startedAt)")
        let takeDown = TakeDown(record.header)
        // Before our own daemon, which may write to them as it ends.
        let isOverlayNewer = try self.isOverlayNewer()
        try await takeDown.host()
        let journal = try Journal.resume(record)
        let isFinished = try await settle(journal, isOverlayNewer: isOverlayNewer)
        try takeDown.overlays()
        try journal.end()
        let end =
            isFinished
            ? "the proven repair is merged into its disks" : "its disks are as they were before the interrupted run"
        // Only words: the recovery has ended, whatever libvirt says now.
        let isPaused = (try? await isPaused()) ?? false
        return RecoveryOutcome(
            name: name, uuid: record.header.uuid, run: record.header.run, outcome: isFinished ? .finished : .undone,
            message: end + (isPaused ? "; it is paused: virsh resume \(name)" : ""))
    }

    /// Brings the disks and the domain's XML to an end at which nobody needs the overlays.
    ///
    /// - Returns: whether the repair is in the disks.
    private func settle(_ journal: Journal, isOverlayNewer: Bool) async throws -> Bool {
        let domain = try await domain()
        let users = try await usersOfOverlays()
        let others = users.subtracting(record.pointing == nil ? [] : domain.map { [$0.name] } ?? [])
        guard others.isEmpty else {
            throw DomainProblem(
                "\(name): an overlay of the interrupted run is used by \(others.sorted().joined(separator: ", ")); end "
                    + "that, then: virt-fsck recover \(name)")
        }
        guard let pointing = record.pointing else { return false }
        guard let domain else {
            return try await settleWithoutDomain(pointing, journal, isOverlayNewer: isOverlayNewer)
        }
        let disks = DomainDisks(connection: connection, domain: domain)
        let isElsewhere = try await disks.place(of: pointing.substitutions, []) == .elsewhere
        if isElsewhere {
            guard !users.contains(domain.name) else {
                throw left("uses an overlay below another image: a snapshot, say; merge that first", pointing)
            }
            let isGivenUp = decision == .discard && record.progress != .merging
            guard !isOverlayNewer || record.pivot != nil || isGivenUp else {
                throw left(
                    "was started on its overlay and wrote to it, and names another disk now", pointing,
                    giveUp: record.progress == .merging ? nil : "virt-fsck recover --discard \(name)")
            }
        }
        let summary = try await connection.summary(of: domain)
        if record.progress == .trying, !isElsewhere,
            try await isTakenBack(domain, pointing, disks, journal, summary)
        {
            return false
        }
        if summary.isActive { return try await settle(running: domain, pointing, disks, journal) }
        // What a pivot had let go on to its disk is whole, and libvirt has named it.
        let pointedBack: DomainXMLEdit.PointedBack = record.pivot == nil ? .byUs : .byPivot
        switch (try await disks.place(of: pointing.substitutions), record.progress) {
        case (.mixed, _) where record.pivot == nil:
            throw left("names only some of its overlays now: somebody changed its XML", pointing)
        case (.overlays, _) where summary.hasManagedSave, (.mixed, _) where summary.hasManagedSave:
            throw DomainProblem(
                "\(name): was started on its overlay and saved: start it and shut it down, or give its memory up (virsh "
                    + "managedsave-remove \(name)); then: virt-fsck recover \(name)")
        case (.overlays, .takingBack) where isOverlayNewer && decision == .none:
            throw undecided("was started on its overlay again, and wrote to it")
        case (.overlays, .takingBack) where !isOverlayNewer || decision == .discard:
            try await disks.pointBack(pointing.substitutions, to: pointing.xml)
        case (.overlays, _), (.mixed, _):
            let substitutions = try await disks.overlaid(pointing.substitutions, .inactive)
            try await merge(substitutions, pointing, journal) {
                guard try await !connection.summary(of: domain).isActive else {
                    throw DomainProblem(
                        "\(name): was started on its overlay meanwhile; go on with: virt-fsck recover \(name)")
                }
                try await disks.pointBack(pointing.substitutions, to: pointing.xml, pointedBack)
            }
        case (.elsewhere, _) where record.pivot != nil:
            try await disks.pointBack(pointing.substitutions, to: pointing.xml, pointedBack)
        case (.elsewhere, .merging):
            throw left("no longer names its overlays, although a disk may be half merged", pointing)
        case (.elsewhere, _): break
        }
        try pointing.restoreAttributes()
        return journal.hasMerged
    }

    /// Decides about a repair that was on trial.
    ///
    /// - Returns: whether it was thrown away; else it is to be merged.
    /// - Throws: where nobody has decided, and the guest proves nothing.
    private func isTakenBack(
        _ domain: DomainID, _ pointing: Pointing, _ disks: DomainDisks, _ journal: Journal, _ summary: DomainSummary
    ) async throws -> Bool {
        switch decision {
        case .keep: return false
        case .discard:
            guard !summary.isActive else {
                throw DomainProblem(
                    "\(name): runs on the overlay that is to be thrown away; shut it down first: virsh shutdown \(name)"
                )
            }
            try await Trial(
                connection: connection, runner: runner, domain: domain, journal: journal, pointing: pointing,
                progress: progress
            ).takeBack()
            return true
        case .none:
            let hasAgent = EvidenceChannels.hasAgent(try await connection.xml(of: domain))
            if summary.isActive, hasAgent,
                try await GuestAgent(of: domain, on: connection).answer(within: .seconds(10)) == .answered
            {
                progress("its guest agent answers: it has booted with the repair")
                return false
            }
            throw undecided(
                "was started on an overlay with the repair, and whether it boots is not known"
                    + (summary.state == .paused ? "; it is paused (virsh resume \(name))" : ""))
        }
    }

    /// The domain runs: on its overlays, which is merged while it runs, or on its disks.
    private func settle(
        running domain: DomainID, _ pointing: Pointing, _ disks: DomainDisks, _ journal: Journal
    ) async throws -> Bool {
        switch (try await disks.place(of: pointing.substitutions, []), record.pivot) {
        case (.overlays, _), (.mixed, .some):
            progress("runs on its overlay: merging while it runs")
            try await LiveMerge(connection: connection, runner: runner, domain: domain, progress: progress)
                .run(pointing, journal, suspension: record.pivot)
            return true
        case (.mixed, nil):
            throw left("runs on only some of its overlays: somebody changed its XML", pointing)
        case (.elsewhere, nil) where record.progress == .merging:
            throw left("runs without its overlays, although a disk may be half merged: shut it down", pointing)
        case (.elsewhere, _):
            // What it has written since is newer than the overlays: they must never be used again.
            try await disks.pointBack(
                pointing.substitutions, to: pointing.xml, record.pivot == nil ? .byUs : .byPivot)
            if record.pivot == .ours, try await connection.summary(of: domain).state == .paused {
                try await connection.resume(domain)
            }
            return record.progress == .merged || record.pivot != nil
        }
    }

    /// Its domain was undefined meanwhile. A half-merged disk is made whole all the same; what a guest may have written to an
    /// overlay is only the user's to give up.
    private func settleWithoutDomain(
        _ pointing: Pointing, _ journal: Journal, isOverlayNewer: Bool
    ) async throws -> Bool {
        let isOpen = isOverlayNewer || record.progress == .trying
        switch (decision, record.progress) {
        case (.none, _) where isOpen:
            throw undecided("is gone, and was started on its overlay, and may have written to it")
        case (.keep, _) where isOpen, (_, .merging):
            try await merge(pointing.substitutions, pointing, journal) {}
            try pointing.restoreAttributes()
            return true
        case (.discard, _) where isOpen && pointing.substitutions.allSatisfy({ Files.exists($0.disk) }):
            try pointing.restoreAttributes()
            return record.progress == .merged
        default: return record.progress == .merged
        }
    }

    /// Merges the overlays, once more or for the first time: an overlay holds everything until it is deleted.
    ///
    /// - Parameter pointBack: done while the daemon still holds the images' locks.
    private func merge(
        _ substitutions: [DomainXMLEdit.Substitution], _ pointing: Pointing, _ journal: Journal,
        then pointBack: () async throws -> Void
    ) async throws {
        // Also where everything was merged already: a guest may have been started on the overlay since, and have written to it.
        for substitution in substitutions { try check(substitution, pointing) }
        try await checkUsers(of: substitutions)
        let log = try RunFolders.openLog("recover", in: record.header.log)
        defer { try? log.close() }
        try await RunMark.$run.withValue(record.header.run) {
            try await StorageDaemon.run(by: runner, log: log) { daemon in
                for (index, substitution) in substitutions.enumerated() {
                    try await daemon.open(substitution.chain, as: "disk-\(index)")
                    try await daemon.openOverlay("overlay-\(index)", path: substitution.overlay, over: "disk-\(index)")
                }
                if !record.hasBegunToMerge { try journal.append(.merge) }
                for (index, substitution) in substitutions.enumerated() {
                    progress("\(substitution.target): merging")
                    try await daemon.merge("overlay-\(index)", into: "disk-\(index)") { _, _ in }
                    try Files.sync(substitution.disk)
                }
                if record.progress != .merged { try journal.append(.merged) }
                try await pointBack()
            }
        }
    }

    /// Nobody else may have come to use the disks since the run was interrupted. The overlays hold everything until then.
    private func checkUsers(of substitutions: [DomainXMLEdit.Substitution]) async throws {
        let disks = substitutions.map { ($0.target, $0.disk) }
        guard
            let objection = try await DiskUsers.objection(
                to: disks, of: record.header.uuid, isPlanned: false, connection, runner)
        else { return }
        throw DomainProblem("\(name): \(objection); then: virt-fsck recover \(name)", kind: .refusal)
    }

    /// Whether a disk is still the one that the overlay is for.
    private func check(_ substitution: DomainXMLEdit.Substitution, _ pointing: Pointing) throws {
        guard Files.exists(substitution.overlay) else {
            throw left("its overlay \(substitution.overlay) is gone", pointing)
        }
        guard let status = try? FileStatus(of: substitution.disk) else {
            throw left("its disk \(substitution.disk) is gone", pointing)
        }
        // The numbers of a device node are new after each boot.
        guard status.kind == .regular, let mark = pointing.disks[substitution.target] else { return }
        let isUntouched = record.hasBegunToMerge || status.modified == mark.modified
        guard status.identity.inode == mark.inode, isUntouched else {
            throw left("\(substitution.disk) is not the disk any more that its overlay is for", pointing)
        }
    }

    /// Names of the domains that use an overlay of the run, as a disk or below one.
    private func usersOfOverlays() async throws -> Set<String> {
        let files = record.header.overlays.compactMap { try? FileStatus(of: $0.overlay).identity }
        guard !files.isEmpty else { return [] }
        let uses = try await DomainUsesReader(connection: connection, runner: runner).read()
        return files.reduce(into: []) { $0.formUnion(uses.domains(using: $1)) }
    }

    /// Whether somebody has written to an overlay since the run was interrupted: a guest that was started on it.
    private func isOverlayNewer() throws -> Bool {
        let interrupted = try FileStatus(of: record.path).modified
        // After its last step the run itself may have written for a moment; not where its daemon had made way for a guest, which
        // was off before the last step.
        let tolerance: Int64 = record.isTrial && record.progress == .takingBack ? 0 : 10_000_000_000
        return record.header.overlays.contains { overlay in
            (try? FileStatus(of: overlay.overlay).modified).map { $0 > interrupted + tolerance } ?? false
        }
    }

    private func domain() async throws -> DomainID? {
        do throws(LibvirtError) {
            let found = try await connection.lookUp(record.header.uuid)
            // A name may look like a UUID.
            return found.uuid == record.header.uuid ? found : nil
        } catch {
            guard error.code == .noDomain else { throw error }
            return nil
        }
    }

    /// A run that was killed as it started the domain has left it so, and nothing tells that from a pause of the user's.
    private func isPaused() async throws -> Bool {
        guard let domain = try await domain() else { return false }
        return try await connection.summary(of: domain).state == .paused
    }

    /// An overlay holds what only the user can keep or give up.
    private func undecided(_ why: String) -> DomainProblem {
        let keep = "Merge the repair: virt-fsck recover --keep \(name)"
        guard record.progress != .merging else { return DomainProblem("\(name): \(why). \(keep)") }
        let disks = record.progress == .merged ? "whole without it" : "untouched"
        return DomainProblem(
            "\(name): \(why); its disks are \(disks). \(keep), or shut it down and throw the repair away: virt-fsck recover "
                + "--discard \(name)")
    }

    /// - Parameter giveUp: how to give the repair up where the disks are whole.
    private func left(_ why: String, _ pointing: Pointing, giveUp: String? = nil) -> DomainProblem {
        let overlays = pointing.substitutions.map { "\($0.target): \($0.overlay) over \($0.disk)" }
        let end = giveUp ?? "give it disks from a backup, and delete \(record.path) and the overlays"
        return DomainProblem(
            "\(name): \(why). The proven repair is in \(overlays.joined(separator: ", ")). To finish, let its XML name "
                + "these overlays (virsh edit), then: virt-fsck recover \(name). To give the repair up: \(end)")
    }
}
