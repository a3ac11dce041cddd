import HostTools
import Libvirt
import Synchronization

/// Protect, Attach, Discover, Check, Verify and Commit of one domain.
///
/// Mostly once; again where a checker lacked memory that others took. In the end each volume is proven, or bit for bit
/// untouched: before the merge everything but the proven ones gets its original bytes back.
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

    /// Remembers what was found out, and what was merged: that stays true, whatever fails afterwards.
    final class Known: Sendable {
        private let state = Mutex<Summary?>(nil)

        /// The summary so far; nil while nothing was checked.
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
    let known: Known
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
        var company = VolumeChecks.Company.welcome
        while true {
            let chosen = company
            let made = try await protection.withOverlays(over: plan.attached) { overlays in
                try await attempt(chosen, on: overlays, context, watch)
            }
            summary.seconds += made.seconds
            guard made.examination.lacksMemory else {
                summary.results = made.examination.results
                summary.disks = made.examination.disks
                summary.merged = made.merged
                summary.trial = made.trial
                return summary
            }
            progress("memory got short: once more, one checker at a time")
            company = .unwanted
        }
    }

    private struct Attempt: Sendable {
        var examination: Examination
        /// Targets of the disks whose overlays were merged.
        var merged: Set<String> = []
        var trial: Pointing?
        var seconds: [StageTime] = []
    }

    /// What was seen of the disks, what the checkers say, and what becomes of the overlays.
    private struct Examination: Sendable {
        var results: [VolumeResult]
        var disks: [DiskFacts]
        var decision: Decision
        /// Whether a checker gave up that may have lacked the memory which others took: then nothing of it counts.
        var lacksMemory: Bool { results.contains(where: \.mayLackMemory) }
    }

    /// One pass over fresh overlays.
    private func attempt(
        _ company: VolumeChecks.Company, on overlays: Overlays, _ context: EngineContext, _ watch: StartGuard
    ) async throws -> Attempt {
        let clock = StageClock()
        let examination: Examination
        switch plan.engine {
        case .nbd:
            let engine = NBDEngine(context: context)
            examination = try await engine.listening {
                try await examine(overlays, by: engine, context, company, clock)
            }
        case .fuse:
            examination = try await examine(overlays, by: FUSEEngine(context: context), context, company, clock)
        case nil: throw DomainProblem(plan.engineReason)
        }
        clock.lap("detach")
        var attempt = Attempt(examination: examination)
        if case .merge(let disks, _) = examination.decision {
            let chosen = overlays.all.filter { disks.contains($0.disk.target) }
            let commit = Commit(
                connection: connection, runner: runner, daemon: daemon, plan: plan, watch: watch, journal: journal)
            try Task.checkCancellation()
            // From here on the only way is forward: tasks that are not cancelled with this one.
            if options.commit == .afterBoot {
                attempt.trial = try await Task { try await commit.pointForTrial(chosen) }.value
            } else {
                progress("merging the repair")
                try await Task { try await commit.merge(chosen, progress) }.value
                attempt.merged = disks
                known.note(
                    Summary(
                        results: examination.results, merged: disks, disks: examination.disks, seconds: clock.laps))
            }
            clock.lap("commit")
        }
        attempt.seconds = clock.laps
        return attempt
    }

    /// What becomes of the overlays.
    private func decision(on results: [VolumeResult]) -> Decision {
        guard options.mode == .repair, options.commit != .never, mayTry(results) else { return .discard }
        guard !results.contains(where: \.mayLackMemory) else { return .discard }
        return Decision(results, writable: Set(plan.disks.filter { $0.handling == .repair }.map(\.target)))
    }

    /// Whether a repair may be merged at all: one that waits for the guest to boot needs a guest that is started.
    private func mayTry(_ results: [VolumeResult]) -> Bool {
        options.commit != .afterBoot || options.start == .always || DomainOutcome.isSound(results)
    }

    /// Attach: the whole disks where the kernel maps their parts, the parts themselves where the daemon does.
    private func examine(
        _ overlays: Overlays, by engine: some Engine, _ context: EngineContext,
        _ company: VolumeChecks.Company, _ clock: StageClock
    ) async throws -> Examination {
        progress("attaching (engine \(plan.engine?.rawValue ?? "none"))")
        switch plan.mapping {
        case .daemonNodes:
            return try await examine(
                overlays, seenBy: NodeMapping(nodes: overlays.nodes, engine: engine, context: context),
                originals: NodeMapping(nodes: overlays.bases, engine: engine, context: context), company, clock)
        case .deviceMapper:
            try await KernelModule.load("dm_mod", sign: "/sys/class/misc/device-mapper", runner)
            return try await withDisks(overlays.nodes, .readWrite, engine) { upper in
                try await withDisks(overlays.bases, .readOnly, engine) { lower in
                    try await examine(
                        overlays, seenBy: DeviceMapping(disks: upper, run: folders.run, names: context.names),
                        originals: DeviceMapping(disks: lower, run: folders.run, names: context.names), company, clock)
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

    /// Discover, Check and Verify; and where something will be merged, everything else on the overlays is restored.
    private func examine<Mapping: VolumeMapping>(
        _ overlays: Overlays, seenBy mapping: Mapping, originals: Mapping, _ company: VolumeChecks.Company,
        _ clock: StageClock
    ) async throws -> Examination {
        clock.lap("attach")
        progress("looking for volumes")
        let lvm = LVM(runner: runner, sandbox: sandbox, folder: folders.devices)
        let findings = try await Discovery(mapping: originals, lvm: lvm).findings(on: plan.attached)
        clock.lap("discover")
        let sleep = try await Hibernation(
            originals: originals, runner: runner, sandbox: sandbox, folder: folders.devices
        ).finding(in: findings.volumes)
        if case .asleep(let words) = sleep { throw DomainProblem(words, kind: .refusal) }
        let check = VolumeCheck(
            overlays: mapping, originals: originals, runner: runner, sandbox: sandbox,
            allowances: options.allowances, folders: folders, overlayRoom: OverlayRoom(of: plan),
            program: options.program, factReader: factReader)
        let checked = try await VolumeChecks(
            budget: checkers, company: company, resources: Contention(plan).resources, progress: progress
        ).results(of: FiledVolume.all(findings.volumes)) {
            try await check.result(for: $0)
        }
        let results = try await keepOverlays(of: checked, overlays, mapping)
        clock.lap("check")
        let decision = decision(on: results)
        let examination = Examination(results: results, disks: findings.disks, decision: decision)
        if !examination.lacksMemory {
            known.note(Summary(results: results, disks: findings.disks, seconds: clock.laps))
        }
        let repaired = results.filter(\.isProvenRepair).map(\.volume.name)
        if case .unknown(let words) = sleep, !repaired.isEmpty {
            throw DomainProblem(
                "\(words). So it can't be told whether a Windows of this domain is hibernated, and nothing is written: "
                    + "\(repaired.joined(separator: ", ")) could be repaired otherwise", kind: .refusal)
        }
        if case .merge(let disks, let volumes) = decision {
            try await Restoration(overlays: mapping, originals: originals, runner: runner).run(
                on: overlays.all.filter { disks.contains($0.disk.target) }, except: volumes)
            clock.lap("restore")
        }
        return examination
    }

    /// Copies the overlays whose repair loses too much to be merged, where the user wants them.
    private func keepOverlays(
        of results: [VolumeResult], _ overlays: Overlays, _ mapping: some VolumeMapping
    ) async throws -> [VolumeResult] {
        let heavy = results.filter { $0.reason == .heavyLoss }
        guard let folder = options.keptOverlayFolder, !heavy.isEmpty, !results.contains(where: \.mayLackMemory) else {
            return results
        }
        progress("keeping the overlay in \(folder)")
        let keeper = KeptOverlays(runner: runner, folder: folder, domain: plan.domain.name, run: folders.run)
        let disks = heavy.reduce(into: Set<String>()) { $0.formUnion($1.volume.layout?.disks ?? []) }
        var kept: [String: Result<String, DomainProblem>] = [:]
        for overlay in overlays.all where disks.contains(overlay.disk.target) {
            do {
                kept[overlay.disk.target] = .success(try await keeper.keep(overlay, mapping))
            } catch {
                try Task.checkCancellation()
                kept[overlay.disk.target] = .failure(DomainProblem(String(describing: error)))
            }
        }
        return results.map { result in
            var result = result
            if result.reason == .heavyLoss { result.take(kept) }
            return result
        }
    }

    /// Only where the domain is started there can be something to explain.
    private var factReader: FactReader? {
        guard options.mode == .repair, options.start != .never else { return nil }
        return FactReader(runner: runner, sandbox: sandbox, folder: folders.devices)
    }
}
