import ArgumentParser
import FoundationEssentials
import HostTools
import Libvirt
import Repair

/// One run of the program: connects, takes each domain the whole way, reports, and ends with the report's exit status.
struct Session {
    let common: CommonOptions
    let options: Options

    func run() async throws {
        let startedAt = Date()
        let uri = common.connect
        do {
            let connection = try await Connection.open(uri, timeout: .seconds(15))
            let name = try await connection.uri()
            let host = try await connection.hostname()
            var outcomes: [DomainOutcome] = []
            var status: ExitStatus = []
            if let problem = RemoteConnection.problem(uri: name) {
                outcomes = common.domains.map { DomainOutcome(name: $0, outcome: .refused, message: problem) }
            } else {
                let progress = ProgressLine(isShown: !common.quiet)
                let pipeline = Pipeline(
                    connection: connection, runner: HostCommandRunner(), options: options,
                    progress: { progress.show($0) })
                (outcomes, status) = await cancelledBySignals {
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
            try finish(
                Report(
                    version: VirtFsck.version, host: host, connection: name, startedAt: startedAt, finishedAt: Date(),
                    domains: outcomes, additionalStatus: status))
        } catch let error as LibvirtError {
            let shown = uri ?? "the default connection (qemu:///system)"
            let problem = "libvirt: \(shown): \(error.message); is libvirtd running? (systemctl status libvirtd)"
            try finish(
                Report(
                    version: VirtFsck.version, host: "", connection: uri ?? "", startedAt: startedAt,
                    finishedAt: Date(),
                    domains: common.domains.map { DomainOutcome(name: $0, outcome: .failed, message: problem) }))
        }
    }

    private func finish(_ report: Report) throws {
        if common.json {
            Terminal.output(try report.json())
        } else {
            let text = TextReport(report, verbosity: common.verbose ? .verbose : .normal)
            Terminal.output(text.results)
            Terminal.error(text.problems)
        }
        throw ExitCode(report.exitStatus.rawValue)
    }
}
