import ArgumentParser
import FoundationEssentials
import HostTools
import Libvirt
import Repair

/// One run of the program: connects, works, reports, and ends with the report's exit status.
struct Session: ParsableArguments {
    @Option(
        name: [.short, .long], help: "libvirt connection URI (default: $LIBVIRT_DEFAULT_URI, else qemu:///system).")
    var connect: String?

    @Flag(help: "Print one JSON document instead of text.")
    var json = false

    @Flag(name: [.short, .long], help: "No progress on standard error.")
    var quiet = false

    /// Takes each domain the whole way, or with `--dry-run` only plans it.
    func run(_ common: CommonOptions, _ options: Options) async throws {
        let startedAt = Date()
        var report = Report(
            version: VirtFsck.version, host: "", connection: connect ?? "", startedAt: startedAt, finishedAt: startedAt,
            domains: [])
        do {
            let connection = try await connection()
            report.connection = try await connection.uri()
            report.host = try await connection.hostname()
            if let problem = RemoteConnection.problem(uri: report.connection) {
                report.domains = common.domains.map { DomainOutcome(name: $0, outcome: .refused, message: problem) }
            } else {
                let runner = HostCommandRunner()
                let pipeline = pipeline(connection, options, by: runner)
                (report.domains, report.additionalStatus) = await cancelledBySignals(hurry: runner.hurry) {
                    var outcomes: [DomainOutcome] = []
                    for domain in common.domains where !Task.isCancelled {
                        outcomes.append(
                            common.dryRun
                                ? await pipeline.outcome(ofPlanning: domain)
                                : await pipeline.outcome(ofRepairing: domain))
                    }
                    return (outcomes, Task.isCancelled ? ExitStatus.cancelled : [])
                }
            }
        } catch let error as LibvirtError {
            let problem = words(for: error)
            report.domains = common.domains.map { DomainOutcome(name: $0, outcome: .failed, message: problem) }
        }
        report.finishedAt = Date()
        if json {
            Terminal.output(try report.json())
        } else {
            let text = TextReport(report, verbosity: common.verbose ? .verbose : .normal)
            Terminal.output(text.results)
            Terminal.error(text.problems)
        }
        throw ExitCode(report.exitStatus.rawValue)
    }

    /// Finishes or undoes what interrupted runs left: those on some domains, or all of them.
    func run(recovering domains: [String]) async throws {
        let startedAt = Date()
        var report = RecoveryReport(
            version: VirtFsck.version, host: "", connection: connect ?? "", startedAt: startedAt, finishedAt: startedAt,
            runs: [])
        do {
            let connection = try await connection()
            report.connection = try await connection.uri()
            report.host = try await connection.hostname()
            if let problem = RemoteConnection.problem(uri: report.connection) {
                report.problem = problem
            } else if !Files.isRoot {
                report.problem = "this must run as root: journals are root's, and so is what runs leave on the host"
            } else {
                let runner = HostCommandRunner()
                let pipeline = pipeline(connection, Options(), by: runner)
                report.runs = await cancelledBySignals(hurry: runner.hurry) { await pipeline.recover(domains) }
            }
        } catch let error as LibvirtError {
            report.problem = words(for: error)
        }
        report.finishedAt = Date()
        if json {
            Terminal.output(try report.json())
        } else {
            Terminal.output(report.results)
            Terminal.error(report.problems)
        }
        throw ExitCode(report.exitStatus.rawValue)
    }

    /// Which domains are shown.
    enum Choice {
        case failed
        case all
    }

    /// Shows the host's domains.
    func list(_ choice: Choice) async throws {
        do {
            let domains = try await Survey(connection: try await connection(.readOnly)).domains()
            let report = ListReport(domains: domains.filter { choice == .all || $0.isFailed })
            Terminal.output(json ? try report.json() : report.text)
        } catch let error as LibvirtError {
            Terminal.error(words(for: error) + "\n")
            throw ExitCode(ExitStatus.operational.rawValue)
        }
    }

    private func connection(_ access: Connection.Access = .readWrite) async throws -> Connection {
        try await Connection.open(connect, access: access, timeout: .seconds(15))
    }

    private func pipeline(_ connection: Connection, _ options: Options, by runner: HostCommandRunner) -> Pipeline {
        let progress = ProgressLine(isShown: !quiet)
        return Pipeline(connection: connection, runner: runner, options: options, progress: { progress.show($0) })
    }

    private func words(for error: LibvirtError) -> String {
        let shown = connect ?? "the default connection (qemu:///system)"
        return "libvirt: \(shown): \(error.message); is libvirtd running? (systemctl status libvirtd)"
    }
}
