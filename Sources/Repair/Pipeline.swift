public import HostTools
public import Libvirt
import SystemPackage

/// The whole way of a domain: this is the page to open first.
///
/// Inventory → Plan → Protect → Attach → Discover → Check → Verify → Commit → Start → Diagnosis → Report: each stage takes a
/// value and gives a value, and has a folder of its name beside this file.
public struct Pipeline: Sendable {
    private let connection: Connection
    private let runner: any CommandRunner
    private let options: Options
    private let checkers: CheckerBudget
    private let progress: @Sendable (ProgressEvent) -> Void

    /// A pipeline for the domains of a connection.
    ///
    /// - Parameters:
    ///   - checkers: shared by everything that this pipeline does at once.
    ///   - progress: told what is being done; called from any thread.
    public init(
        connection: Connection, runner: any CommandRunner, options: Options,
        checkers: CheckerBudget = CheckerBudget(), progress: @Sendable @escaping (ProgressEvent) -> Void
    ) {
        self.connection = connection
        self.runner = runner
        self.options = options
        self.checkers = checkers
        self.progress = progress
    }

    /// Inventory and Plan: what would be done to a domain, or why nothing. Changes nothing.
    ///
    /// - Parameter selector: name, UUID or id, as virsh takes them.
    /// - Throws: `LibvirtError` where there is no such domain; `XMLError` where its XML makes no sense.
    public func plan(_ selector: String) async throws -> Plan {
        let domain = try await connection.lookUp(selector)
        let inventory = try await InventoryReader(connection: connection, runner: runner).read(
            domain, scratchFolder: options.scratchFolder)
        // What was cut short has told nothing of the images.
        try Task.checkCancellation()
        var plan = Plan(for: inventory, on: await Host.read(runner, sandbox: sandbox), options: options)
        if let record = try JournalRecord.find(domain.uuid, in: options.journalFolder) {
            plan.warnings.append(
                "run \(record.header.run) of \(record.header.startedAt) was interrupted, and is recovered first")
        }
        return plan
    }

    /// The plan as a row of the report, for `--dry-run`.
    public func outcome(ofPlanning selector: String) async -> DomainOutcome {
        await row(for: selector) { plan, _ in
            DomainOutcome(plan: try await accepted(selector, &plan), outcome: .planned)
        }
    }

    /// Takes a domain the whole way. Whatever happens to it becomes its row of the report.
    ///
    /// - Parameter whenWaiting: told when the domain was started and its guest is waited for: hardly any work is left then.
    public func outcome(
        ofRepairing selector: String, whenWaiting: @escaping @Sendable () -> Void = {}
    ) async -> DomainOutcome {
        await row(for: selector) { plan, known in
            let clock = ContinuousClock.now
            // Nobody but root can take the lock; the plan says so in words.
            if !Files.isRoot { _ = try await accepted(selector, &plan) }
            let domain = try await connection.lookUp(selector)
            let locks = try RunLocks(domain: domain)
            defer { locks.release() }
            if let record = try JournalRecord.find(domain.uuid, in: options.journalFolder) {
                try locks.cover(record)
                guard options.mode == .repair || record.pointing == nil else {
                    throw DomainProblem(
                        "\(domain.name): a repair was interrupted while it was merged, and a check changes no disk; end it "
                            + "first: virt-fsck recover \(domain.name)", kind: .refusal)
                }
                _ = try await recovery(of: record, .none).run()
            }
            var accepted = try await accepted(domain.uuid, &plan)
            let planning = (ContinuousClock.now - clock).inSeconds
            if accepted.powersOff, options.mode == .repair {
                try await powerOff(accepted)
                // While QEMU held its images they could not be checked; and its last writes may have changed them.
                accepted = try await self.accepted(domain.uuid, &plan)
            }
            try locks.cover(accepted)
            var outcome = try await repair(accepted, known, whenWaiting)
            outcome.seconds.insert(StageTime(stage: "plan", seconds: planning), at: 0)
            // A trial has started it already.
            if outcome.boot == nil {
                if let reason = reasonNotToStart(outcome) {
                    outcome.boot = .notStarted(reason)
                } else {
                    let watch = bootWatch(accepted, log: outcome.log ?? options.logFolder, whenWaiting)
                    outcome.boot = await watch.run().boot
                }
            }
            outcome.diagnosis = Diagnosis(of: outcome)?.findings
            return outcome
        }
    }

    /// Finishes or undoes what interrupted runs left.
    ///
    /// - Parameters:
    ///   - selectors: of domains, as virsh takes them, or as the journal names them; none for every run.
    ///   - decision: what becomes of a repair that was on trial.
    public func recover(_ selectors: [String], _ decision: RecoveryDecision = .none) async -> [RecoveryOutcome] {
        Remains.sweep(journals: options.journalFolder)
        let found = JournalRecord.all(in: options.journalFolder)
        guard !selectors.isEmpty else { return await found.asyncMap { await recover($0.path, $0.record, decision) } }
        return await selectors.asyncMap { selector in
            let uuid = try? await connection.lookUp(selector).uuid
            let match = found.first { path, record in
                let header = try? record.get().header
                return path == Journal.path(of: uuid ?? selector, in: options.journalFolder)
                    || header?.domain == selector
            }
            if let match { return await recover(match.path, match.record, decision) }
            guard uuid != nil else {
                return RecoveryOutcome(
                    name: selector, outcome: .left, message: "no domain, and no interrupted run of one, by that name")
            }
            return RecoveryOutcome(name: selector, uuid: uuid, outcome: .nothing, message: "no run was interrupted")
        }
    }

    private func recover(
        _ path: String, _ record: Result<JournalRecord, DomainProblem>, _ decision: RecoveryDecision
    ) async -> RecoveryOutcome {
        do {
            let header = try record.get().header
            var outcome = RecoveryOutcome(
                name: header.domain, uuid: header.uuid, run: header.run, outcome: .left, message: "")
            // Until it is, a refusal says that the run is at work.
            var isLocked = false
            do {
                let locks = try RunLocks(domain: DomainID(uuid: header.uuid, name: header.domain))
                defer { locks.release() }
                // It may have ended between the look into the folder and the lock.
                guard let record = try JournalRecord.find(header.uuid, in: options.journalFolder) else {
                    outcome.outcome = .nothing
                    outcome.message = "the run has ended by itself"
                    return outcome
                }
                try locks.cover(record)
                isLocked = true
                return try await recovery(of: record, decision).run()
            } catch {
                let isRefusal = (error as? DomainProblem)?.kind == .refusal
                if isRefusal, !isLocked { outcome.outcome = .busy }
                outcome.message = String(describing: error)
            }
            return outcome
        } catch {
            return RecoveryOutcome(name: path, outcome: .left, message: String(describing: error))
        }
    }

    private func powerOff(_ plan: Plan) async throws {
        guard plan.state != .crashed else { return try await connection.ensureOff(plan.domain) }
        try await PowerOff(connection: connection, domain: plan.domain, options: options) { [progress] text in
            progress(ProgressEvent(domain: plan.domain.name, text: text))
        }.run()
    }

    private func recovery(of record: JournalRecord, _ decision: RecoveryDecision) -> Recovery {
        Recovery(connection: connection, runner: runner, record: record, decision: decision) { [progress] text in
            progress(ProgressEvent(domain: record.header.domain, text: text))
        }
    }

    /// Makes the plan, and throws what speaks against it.
    private func accepted(_ selector: String, _ made: inout Plan?) async throws -> Plan {
        let plan = try await plan(selector)
        made = plan
        guard plan.refusals.isEmpty else {
            throw DomainProblem(plan.refusals.joined(separator: "\n"), kind: .refusal)
        }
        return plan
    }

    /// Whatever comes of `work` is a row of the report: with the plan where one was made, and with what was found out.
    private func row(
        for selector: String, _ work: (inout Plan?, Attempts.Known) async throws -> DomainOutcome
    ) async -> DomainOutcome {
        var plan: Plan?
        let known = Attempts.Known()
        do {
            return try await work(&plan, known)
        } catch {
            var outcome = DomainOutcome(name: selector, outcome: .failed, message: String(describing: error))
            if let plan { outcome = DomainOutcome(plan: plan, outcome: .failed, message: outcome.message) }
            switch error {
            case let error as LibvirtError where await !connection.isAlive():
                // What comes after the first define says so itself: these words are for everything before.
                outcome.message =
                    "the connection to libvirt broke (\(error.message)): was libvirtd restarted? The disks are as they were; run "
                    + "it again"
            case let error as LibvirtError where plan == nil:
                outcome.message = error.message
            case let problem as DomainProblem where problem.kind == .refusal:
                outcome.outcome = .refused
            case is CancellationError:
                outcome.message = "cancelled; its disks are as they were"
                outcome.isCancelled = true
            default: break
            }
            if let summary = known.summary { outcome.keep(summary) }
            return outcome
        }
    }

    private func repair(
        _ plan: Plan, _ known: Attempts.Known, _ whenWaiting: @escaping @Sendable () -> Void
    ) async throws -> DomainOutcome {
        var outcome = DomainOutcome(plan: plan, outcome: .failed)
        let folders = RunFolders(domain: plan.domain.name, logFolder: options.logFolder)
        outcome.log = folders.log
        do {
            let (summary, boot) = try await attempts(plan, folders, known, whenWaiting)
            outcome.take(summary)
            outcome.boot = boot
            if summary.trial != nil, boot?.outcome == .failed {
                outcome.message = "the guest doesn't boot with the repair: its disks are as they were"
            }
        } catch let error as DeviceError where error == NBDDevice.noneFree && plan.secondEngine != nil {
            // Two devices for each disk are soon too many for the kernel's 16.
            var plan = plan
            plan.engine = plan.secondEngine
            plan.engineReason = "every nbd device is in use"
            plan.secondEngine = nil
            return try await repair(plan, known, whenWaiting)
        } catch {
            // What is merged is merged, whatever fails afterwards.
            guard let summary = known.summary, !summary.merged.isEmpty else { throw error }
            outcome.take(summary)
            outcome.message = String(describing: error)
        }
        return outcome
    }

    private func attempts(
        _ plan: Plan, _ folders: RunFolders, _ known: Attempts.Known, _ whenWaiting: @escaping @Sendable () -> Void
    ) async throws -> (Attempts.Summary, Boot?) {
        let progress: @Sendable (String) -> Void = { [progress] text in
            progress(ProgressEvent(domain: plan.domain.name, text: text))
        }
        return try await withJournal(of: plan, folders) { journal in
            var summary = try await folders.made {
                let log = try folders.openLog("run")
                defer { try? log.close() }
                return try await StorageDaemon.run(by: runner, log: log) { daemon in
                    try await Attempts(
                        connection: connection, runner: runner, options: options, sandbox: sandbox, plan: plan,
                        daemon: daemon, folders: folders, journal: journal, known: known, checkers: checkers,
                        progress: progress
                    ).run()
                }
            }
            guard let pointing = summary.trial else { return (summary, nil) }
            let trial = Trial(
                connection: connection, runner: runner, domain: plan.domain, journal: journal, pointing: pointing,
                progress: progress)
            let (boot, end) = try await trial.run(bootWatch(plan, log: folders.log, whenWaiting))
            if end == .merged { summary.merged = Set(pointing.substitutions.map(\.target)) }
            return (summary, boot)
        }
    }

    private func bootWatch(
        _ plan: Plan, log: String, _ whenWaiting: @escaping @Sendable () -> Void
    ) -> BootWatch {
        BootWatch(
            connection: connection, domain: plan.domain, timeout: options.bootTimeout, log: log,
            progress: { [progress] text in progress(ProgressEvent(domain: plan.domain.name, text: text)) },
            whenWaiting: whenWaiting)
    }

    /// Writes the run's journal around it. It stays where the domain's XML may name overlays, or something can't be taken
    /// down: then there is something to recover.
    private func withJournal<Value: Sendable>(
        of plan: Plan, _ folders: RunFolders, _ body: (Journal) async throws -> Value
    ) async throws -> Value {
        let header = JournalHeader(
            run: folders.run, machine: Files.machineID, connection: try await connection.uri(),
            domain: plan.domain.name, uuid: plan.domain.uuid, startedAt: folders.startedAt, log: folders.log,
            overlays: plan.attached.map { disk in
                JournalHeader.Overlay(
                    target: disk.target, disk: disk.path,
                    overlay: Protection.overlayPath(disk, run: folders.run))
            })
        let journal = try Journal.begin(header, in: options.journalFolder)
        do {
            let value = try await RunMark.$run.withValue(folders.run) { try await body(journal) }
            if !journal.isOpenEnded { try journal.end() }
            return value
        } catch {
            guard !journal.isOpenEnded else { throw error }
            if error is CleanUpError {
                do {
                    try await TakeDown(header).all()
                } catch let second {
                    throw CleanUpError(work: error, cleanUp: second)
                }
            }
            try journal.end()
            throw error
        }
    }

    private func reasonNotToStart(_ outcome: DomainOutcome) -> String? {
        guard options.mode == .repair else { return "a check never starts a domain" }
        switch options.start {
        case .always: return nil
        case .never: return "as asked"
        case .repaired: return outcome.isSound ? nil : "its disks are not sound; start it all the same: --start always"
        }
    }

    private var sandbox: Sandbox {
        Sandbox(options.allowances.contains(.noSandbox) ? .privilegesOnly : .bubblewrap)
    }
}
