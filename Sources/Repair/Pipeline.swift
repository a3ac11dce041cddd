public import HostTools
public import Libvirt
import SystemPackage

/// The whole way of a domain: this is the page to open first.
///
/// Inventory → Plan → Protect → Attach → Discover → Check → Verify → Commit → Start → Report: each stage takes a value and
/// gives a value, and has a folder of its name beside this file.
public struct Pipeline: Sendable {
    private let connection: Connection
    private let runner: any CommandRunner
    private let options: Options
    private let progress: @Sendable (ProgressEvent) -> Void

    /// A pipeline for the domains of a connection.
    ///
    /// - Parameter progress: told what is being done; called from any thread.
    public init(
        connection: Connection, runner: any CommandRunner, options: Options,
        progress: @Sendable @escaping (ProgressEvent) -> Void
    ) {
        self.connection = connection
        self.runner = runner
        self.options = options
        self.progress = progress
    }

    /// Inventory and Plan: what would be done to a domain, or why nothing. Changes nothing.
    ///
    /// - Parameter selector: name, UUID or id, as virsh takes them.
    /// - Throws: `LibvirtError` where there is no such domain; `XMLError` where its XML makes no sense.
    public func plan(_ selector: String) async throws -> Plan {
        let domain = try await connection.lookUp(selector)
        let inventory = try await InventoryReader(connection: connection, runner: runner).read(domain)
        return Plan(for: inventory, on: await Host.read(runner, sandbox: sandbox), options: options)
    }

    /// The plan as a row of the report, for `--dry-run`.
    public func outcome(ofPlanning selector: String) async -> DomainOutcome {
        await row(for: selector) { plan in DomainOutcome(plan: plan, outcome: .planned) }
    }

    /// Takes a domain the whole way. Whatever happens to it becomes its row of the report.
    public func outcome(ofRepairing selector: String) async -> DomainOutcome {
        await row(for: selector) { plan in
            var outcome = try await repair(plan)
            if let reason = reasonNotToStart(outcome) {
                outcome.boot = .notStarted(reason)
            } else {
                outcome.boot = await Start(connection: connection).start(plan.domain)
            }
            return outcome
        }
    }

    private func row(
        for selector: String, _ work: (Plan) async throws -> DomainOutcome
    ) async -> DomainOutcome {
        do {
            let clock = ContinuousClock.now
            let plan = try await plan(selector)
            guard plan.refusals.isEmpty else {
                return DomainOutcome(plan: plan, outcome: .refused, message: plan.refusals.joined(separator: "\n"))
            }
            let planning = (ContinuousClock.now - clock).inSeconds
            do {
                var outcome = try await work(plan)
                outcome.seconds.insert(StageTime(stage: "plan", seconds: planning), at: 0)
                return outcome
            } catch let problem as DomainProblem where problem.kind == .refusal {
                return DomainOutcome(plan: plan, outcome: .refused, message: problem.description)
            } catch {
                var outcome = DomainOutcome(plan: plan, outcome: .failed, message: String(describing: error))
                if error is CancellationError {
                    outcome.message = "cancelled; its disks are as they were"
                    outcome.isCancelled = true
                }
                return outcome
            }
        } catch let error as LibvirtError {
            return DomainOutcome(name: selector, outcome: .failed, message: error.message)
        } catch {
            return DomainOutcome(name: selector, outcome: .failed, message: String(describing: error))
        }
    }

    private func repair(_ plan: Plan) async throws -> DomainOutcome {
        let lock = try RunFolders.lock(plan.domain.uuid, name: plan.domain.name)
        defer { lock.release() }
        var plan = plan
        if plan.destroysCrashed, options.mode == .repair {
            try await connection.destroy(plan.domain)
            // While QEMU held its images they could not be checked; and its last writes may have changed them.
            plan = try await self.plan(plan.domain.uuid)
            guard plan.refusals.isEmpty else {
                return DomainOutcome(plan: plan, outcome: .refused, message: plan.refusals.joined(separator: "\n"))
            }
        }
        let planned = plan
        var outcome = DomainOutcome(plan: planned, outcome: .failed)
        let merged = Attempts.Merged()
        do {
            outcome.take(try await attempts(planned, merged))
        } catch {
            // What is merged is merged, whatever fails afterwards.
            guard let summary = merged.summary else { throw error }
            outcome.take(summary)
            outcome.message = String(describing: error)
        }
        return outcome
    }

    private func attempts(_ plan: Plan, _ merged: Attempts.Merged) async throws -> Attempts.Summary {
        try await RunFolders.with(domain: plan.domain.name, logFolder: options.logFolder) { folders in
            let log = try folders.openLog("run")
            defer { try? log.close() }
            return try await StorageDaemon.run(by: runner, log: log) { daemon in
                try await Attempts(
                    connection: connection, runner: runner, options: options, sandbox: sandbox, plan: plan,
                    daemon: daemon, folders: folders, merged: merged,
                    progress: { progress(ProgressEvent(domain: plan.domain.name, text: $0)) }
                ).run()
            }
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
