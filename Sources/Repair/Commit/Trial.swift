import HostTools
import Libvirt

/// `--commit after-boot`: the guest is started on the overlays, and only when it has proven that it boots they are merged, while
/// it runs. When it doesn't boot, it gets its untouched disks back.
struct Trial: Sendable {
    /// What came of it.
    enum End: Hashable, Sendable {
        /// The repair is merged.
        case merged
        /// The disks are as they were, and so is the domain.
        case takenBack
        /// Nothing is known: the domain goes on on its overlays.
        case open
    }

    let connection: Connection
    let runner: any CommandRunner
    let domain: DomainID
    let journal: Journal
    let pointing: Pointing
    let progress: @Sendable (String) -> Void

    /// Starts the domain on its overlays, which it is pointed at, and acts on what it proves.
    ///
    /// - Throws: where acting on it fails: the journal and the overlays stay.
    func run(_ watch: BootWatch) async throws -> (boot: Boot, end: End) {
        let (boot, connection) = await watch.run()
        // libvirtd may have been restarted meanwhile.
        return try await Trial(
            connection: connection, runner: runner, domain: domain, journal: journal, pointing: pointing,
            progress: progress
        ).act(on: boot)
    }

    private func act(on boot: Boot) async throws -> (boot: Boot, end: End) {
        switch boot.outcome {
        case .booted:
            progress("it boots: merging while it runs")
            do {
                try await LiveMerge(connection: connection, runner: runner, domain: domain, progress: progress)
                    .run(pointing, journal)
                try finish()
            } catch {
                throw DomainProblem(
                    "it boots with the repair (\(boot.evidence)), but the merge did not end: \(error); finish it with: "
                        + "virt-fsck recover \(domain.name)")
            }
            return (boot, .merged)
        case .failed, .notStarted:
            progress("it doesn't boot: giving it its disks back")
            do {
                try await takeBack()
            } catch {
                throw DomainProblem(
                    "it doesn't boot with the repair (\(boot.evidence)), and could not be given its untouched disks back: "
                        + "\(error); try again with: virt-fsck recover --discard \(domain.name)")
            }
            return (boot, .takenBack)
        case .unknown:
            var boot = boot
            boot.evidence +=
                "; its disks are untouched, and it runs on an overlay with the repair. Look whether it is well (virsh console "
                + "\(domain.name)); then merge the repair: virt-fsck recover --keep \(domain.name), or shut it down and "
                + "throw the repair away: virt-fsck recover --discard \(domain.name)"
            return (boot, .open)
        }
    }

    /// Gives the domain its disks back, which nothing was written to. It must be off, or is powered off: it runs on what is
    /// thrown away.
    ///
    /// - Throws: ``DomainProblem`` where its memory was saved: that knows only the filesystems on the overlays.
    func takeBack() async throws {
        guard try await !connection.summary(of: domain).hasManagedSave else {
            throw DomainProblem(
                "\(domain.name): was started on its overlay and saved: give its memory up (virsh managedsave-remove "
                    + "\(domain.name)), or start it and shut it down")
        }
        try await connection.ensureOff(domain)
        try journal.append(.takeBack)
        try await DomainDisks(connection: connection, domain: domain)
            .pointBack(pointing.substitutions, to: pointing.xml)
        try pointing.restoreAttributes()
        try finish()
    }

    private func finish() throws {
        try TakeDown(journal.header).overlays()
        journal.settled()
    }
}
