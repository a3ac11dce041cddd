import ArgumentParser
import FoundationEssentials
import HostTools
import Libvirt
import Repair

extension Session {
    /// Whether the user is asked before the domains of `--all` are repaired.
    enum Asking {
        case onTerminal
        case no
    }

    /// Takes domains the whole way, or with `--dry-run` only plans them.
    func run(_ common: CommonOptions, _ options: Options, _ asking: Asking) async throws {
        let startedAt = Date()
        let selection = common.selection
        var report = Report(
            version: VirtFsck.version, host: "", connection: connect ?? "", startedAt: startedAt, finishedAt: startedAt,
            domains: [])
        do {
            let connection = try await connection()
            report.connection = try await connection.uri()
            report.host = try await connection.hostname()
            let workers = workers(connection, options, jobs: selection.jobs)
            let pipeline = workers.pipeline
            let fleet = Fleet(jobs: selection.jobs)
            if let problem = RemoteConnection.problem(uri: report.connection) {
                report.domains = selection.named.map { DomainOutcome(name: $0, outcome: .refused, message: problem) }
                if selection.all { report.problem = problem }
            } else if selection.all {
                let failed = try await Survey(connection: connection).domains().filter {
                    $0.isFailed && selection.admits($0.summary.id.name)
                }
                let planned = await fleet.outcomes(of: failed.map(\.summary.id.uuid)) { uuid, _ in
                    await pipeline.outcome(ofPlanning: uuid)
                }
                report.domains = planned
                let ready = planned.filter { $0.outcome == .planned }.compactMap(\.uuid)
                if !common.dryRun, !ready.isEmpty {
                    try ask(asking, planned)
                    let worked = await work(on: ready, fleet, workers, &report)
                    let rows = Dictionary(zip(ready, worked)) { $1 }
                    report.domains = planned.map { plan in
                        guard let uuid = plan.uuid, var row = rows[uuid] else { return plan }
                        // Of one whose turn never came the plan still says all there is.
                        if row.outcome == .planned {
                            let message = row.message
                            row = plan
                            row.message = message
                        }
                        // Of one that is gone meanwhile nothing is known but what was asked for.
                        if row.uuid == nil { (row.uuid, row.name) = (uuid, plan.name) }
                        return row
                    }
                }
            } else if common.dryRun {
                report.domains = await fleet.outcomes(of: selection.named) { name, _ in
                    await pipeline.outcome(ofPlanning: name)
                }
            } else {
                report.domains = await work(on: selection.named, fleet, workers, &report)
            }
        } catch let error as LibvirtError {
            let problem = words(for: error)
            report.domains = selection.named.map { DomainOutcome(name: $0, outcome: .failed, message: problem) }
            if selection.all { report.problem = problem }
        }
        report.finishedAt = Date()
        if json {
            Terminal.output(try report.json())
        } else {
            let text = TextReport(report, verbosity: verbose ? .verbose : .normal)
            Terminal.output(text.results)
            Terminal.error(text.problems)
        }
        throw ExitCode(report.exitStatus.rawValue)
    }

    private func work(
        on domains: [String], _ fleet: Fleet, _ workers: Workers, _ report: inout Report
    ) async -> [DomainOutcome] {
        let (outcomes, isCancelled) = await cancelledBySignals(hurry: workers.hurry) {
            let outcomes = await workers.progress.reminding {
                await fleet.outcomes(of: domains) { domain, turn in
                    await workers.pipeline.outcome(ofRepairing: domain) { turn.onlyWaits() }
                } whenDone: { outcome, count in
                    guard domains.count > 1 else { return }
                    let words = "done (\(count) of \(domains.count)): \(outcome.outcome.rawValue)"
                    workers.progress.end(outcome.name, words)
                }
            }
            return (outcomes, Task.isCancelled)
        }
        if isCancelled { report.additionalStatus.insert(.cancelled) }
        return outcomes
    }

    /// Shows what will be done, and goes on only when the user wants it.
    private func ask(_ asking: Asking, _ planned: [DomainOutcome]) throws {
        guard asking == .onTerminal else { return }
        guard Terminal.isInteractive else {
            Terminal.error(
                "virt-fsck: --all asks before it repairs, and there is no terminal to ask on; in a script: --yes\n")
            throw ExitCode(ExitStatus.usage.rawValue)
        }
        let report = Report(
            version: VirtFsck.version, host: "", connection: "", startedAt: Date(), finishedAt: Date(), domains: planned
        )
        let text = TextReport(report, verbosity: .normal)
        Terminal.error(text.results + text.problems)
        let count = planned.count { $0.outcome == .planned }
        Terminal.error("Repair \(count == 1 ? "this domain" : "these \(count) domains")? [y/N] ")
        guard ["y", "yes"].contains(readLine()?.lowercased()) else {
            Terminal.error("nothing was done\n")
            throw ExitCode(ExitStatus.cancelled.rawValue)
        }
    }
}
