import ArgumentParser
import FoundationEssentials
import HostTools
import Libvirt
import Repair

extension Session {
    /// Finishes or undoes what interrupted runs left: those on some domains, or all of them.
    func run(recovering domains: [String], _ decision: RecoveryDecision) async throws {
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
                let workers = workers(connection, Options())
                report.runs = await cancelledBySignals(hurry: workers.hurry) {
                    await workers.progress.reminding { await workers.pipeline.recover(domains, decision) }
                }
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
}
