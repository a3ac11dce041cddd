import HostTools
import Libvirt
import Synchronization

/// Protect, Attach, Discover, Check, Verify and Commit of one domain.
///
/// Mostly once. Where one disk holds proven repairs beside something that must stay as it is, once more on new overlays,
/// with the proven ones only: in the end each volume is proven, or bit for bit untouched.
struct Attempts: Sendable {
    /// What came of them.
    struct Summary: Sendable {
        /// The verdicts, as the checkers' work on the overlays gave them.
        var results: [VolumeResult]
        /// Targets of the disks whose overlays were merged.
        var merged: Set<String> = []
        /// Overlays that the domain points at, to be merged when its guest has booted.
        var trial: Pointing?
        /// What the disks have for the firmware.
        var disks: [DiskFacts] = []
        var seconds: [StageTime]
    }

    /// Remembers a merge: it is done, even where taking down what is around it fails.
    final class Merged: Sendable {
        private let state = Mutex<Summary?>(nil)

        /// The summary of a merge that was done.
        var summary: Summary? { state.withLock { $0 } }

        fileprivate func note(_ summary: Summary) { state.withLock { $0 = summary } }
    }

    let connection: Connection
    let runner: any CommandRunner
    let options: Options
    let sandbox: Sandbox
    let plan: Plan
    let daemon: StorageDaemon
    let folders: RunFolders
    let journal: Journal
    let merged: Merged
    let checkers: CheckerBudget
    let progress: @Sendable (String) -> Void

    func run() async throws -> Summary {
        let watch = try await StartGuard(plan, on: connection)
        defer { watch.stop() }
        let protection = Protection(daemon: daemon, journal: journal)
        progress("opening \(plan.attached.map(\.target).joined(separator: ", "))")
        try await protection.openDisks(plan.attached)
        // One for all passes: names that were given to the daemon once mean what they meant then.
        let context = EngineContext(daemon: daemon, runner: runner, folders: folders, names: NameSource())
        var summary = Summary(results: [], seconds: [])
        var next = Pass()
        while true {
            let pass = next
            let made = try await protection.withOverlays(over: plan.attached) { overlays -> Attempt in
                try await attempt(pass, on: overlays, context, watch)
            }
            summary.seconds += made.seconds
            guard !made.lacksMemory else {
                progress("memory got short: once more, one checker at a time")
                next.company = .unwanted
                continue
            }
            summary.results = made.results
            summary.merged = made.merged
            summary.trial = made.trial
            summary.disks = made.disks
            guard case .redo(let volumes) = made.decision, pass.selected == nil else { break }
            next.selected = volumes
            next.earlier = made.results
        }
        return summary
    }

    /// How a pass over fresh overlays shall be made.
    private struct Pass: Sendable {
        /// The volumes that may be written to; nil for all.
        var selected: Set<Volume>?
        /// Results of the pass before; those of volumes that are not selected stand.
        var earlier: [VolumeResult] = []
        /// Whether checkers may run at the same time.
        var company = VolumeChecks.Company.welcome
    }

    private struct Attempt: Sendable {
        var results: [VolumeResult]
        var decision: Decision
        /// Targets of the disks whose overlays were merged.
        var merged: Set<String> = []
        var trial: Pointing?
        var disks: [DiskFacts]
        var seconds: [StageTime]
        /// Whether a checker gave up that may have lacked the memory which others took: then nothing of it counts.
        var lacksMemory = false
    }

    /// What was seen of the disks, and what the checkers say.
    private struct Examination: Sendable {
        var results: [VolumeResult]
        var disks: [DiskFacts]
    }

    /// One pass over fresh overlays.
    private func attempt(
        _ pass: Pass, on overlays: Overlays, _ context: EngineContext, _ watch: StartGuard
    ) async throws -> Attempt {
        let clock = StageClock()
        let examination: Examination
        switch plan.engine {
        case .nbd:
            let engine = NBDEngine(context: context)
            examination = try await engine.listening {
                try await examine(overlays, by: engine, context, pass, clock)
            }
        case .fuse:
            examination = try await examine(overlays, by: FUSEEngine(context: context), context, pass, clock)
        case nil: throw DomainProblem(plan.engineReason)
        }
        let results = examination.results
        clock.lap("detach")
        let writable = Set(plan.disks.filter { $0.handling == .repair }.map(\.target))
        var attempt = Attempt(
            results: results, decision: Decision(results, writable: writable, written: pass.selected),
            disks: examination.disks, seconds: [])
        guard !results.contains(where: \.mayLackMemory) else {
            attempt.lacksMemory = true
            attempt.seconds = clock.laps
            return attempt
        }
        guard options.mode == .repair, options.commit != .never, mayTry(results) else {
            attempt.decision = .discard
            attempt.seconds = clock.laps
            return attempt
        }
        if case .merge(let disks) = attempt.decision {
            let chosen = overlays.all.filter { disks.contains($0.disk.target) }
            let commit = Commit(connection: connection, daemon: daemon, plan: plan, watch: watch, journal: journal)
            try Task.checkCancellation()
            // From here on the only way is forward: tasks that are not cancelled with this one.
            if options.commit == .afterBoot {
                attempt.trial = try await Task { try await commit.pointForTrial(chosen) }.value
            } else {
                progress("merging the repair")
                try await Task { try await commit.merge(chosen, progress) }.value
                attempt.merged = disks
                self.merged.note(Summary(results: results, merged: disks, seconds: clock.laps))
            }
            clock.lap("commit")
        }
        attempt.seconds = clock.laps
        return attempt
    }

    /// Whether a repair may be merged at all: one that waits for the guest to boot needs a guest that is started.
    private func mayTry(_ results: [VolumeResult]) -> Bool {
        options.commit != .afterBoot || options.start == .always || DomainOutcome.isSound(results)
    }

    /// Attach: the whole disks where the kernel maps their parts, the parts themselves where the daemon does.
    private func examine(
        _ overlays: Overlays, by engine: some Engine, _ context: EngineContext, _ pass: Pass, _ clock: StageClock
    ) async throws -> Examination {
        progress("attaching (engine \(plan.engine?.rawValue ?? "none"))")
        switch plan.mapping {
        case .daemonNodes:
            return try await examine(
                overlays: NodeMapping(nodes: overlays.nodes, engine: engine, context: context),
                originals: NodeMapping(nodes: overlays.bases, engine: engine, context: context), pass, clock)
        case .deviceMapper:
            try await KernelModule.load("dm_mod", sign: "/sys/class/misc/device-mapper", runner)
            return try await withDisks(overlays.nodes, .readWrite, engine) { upper in
                try await withDisks(overlays.bases, .readOnly, engine) { lower in
                    try await examine(
                        overlays: DeviceMapping(disks: upper, run: folders.run, names: context.names),
                        originals: DeviceMapping(disks: lower, run: folders.run, names: context.names), pass, clock)
                }
            }
        }
    }

    private func withDisks<Value: Sendable>(
        _ nodes: [String: String], _ access: DeviceAccess, _ engine: some Engine,
        _ body: ([String: AttachedDevice]) async throws -> Value
    ) async throws -> Value {
        try await withAll(Array(nodes)[...]) { disk, inner in
            try await engine.withDevice(on: disk.value, access: access) { device in
                try await inner((disk.key, device))
            }
        } body: { (lent: [(String, AttachedDevice)]) in
            try await body(Dictionary(uniqueKeysWithValues: lent))
        }
    }

    /// Discover, Check and Verify.
    private func examine<Mapping: VolumeMapping>(
        overlays: Mapping, originals: Mapping, _ pass: Pass, _ clock: StageClock
    ) async throws -> Examination {
        clock.lap("attach")
        progress("looking for volumes")
        let lvm = LVM(runner: runner, sandbox: sandbox, folder: folders.devices)
        let findings = try await Discovery(mapping: originals, lvm: lvm).findings(on: plan.attached)
        clock.lap("discover")
        if let hibernated = findings.volumes.first(where: \.isHibernated) {
            throw DomainProblem(
                "\(hibernated.name): holds a hibernated system, whose memory knows the old filesystems: a repair beneath it "
                    + "would destroy them; boot the domain and shut it down, or give that system up: mkswap",
                kind: .refusal)
        }
        let check = VolumeCheck(
            overlays: overlays, originals: originals, runner: runner, sandbox: sandbox,
            allowances: options.allowances, folders: folders, overlayRoom: OverlayRoom(of: plan),
            factReader: factReader)
        let volumes = FiledVolume.all(findings.volumes)
        let results = try await VolumeChecks(
            budget: checkers, company: pass.company, resources: Contention(plan).resources, progress: progress
        ).results(of: volumes.filter { pass.selected?.contains($0.volume) ?? true }) {
            try await check.result(for: $0)
        }
        clock.lap("check")
        let known = results + pass.earlier
        return Examination(
            results: findings.volumes.compactMap { volume in known.first { $0.volume == volume } },
            disks: findings.disks)
    }

    /// Only where the domain is started there can be something to explain.
    private var factReader: FactReader? {
        guard options.mode == .repair, options.start != .never else { return nil }
        return FactReader(runner: runner, sandbox: sandbox, folder: folders.devices)
    }
}
