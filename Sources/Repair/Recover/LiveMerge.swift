import HostTools
import Libvirt

/// Merges the overlays of a running domain into its disks, while it runs.
///
/// The guest is suspended for the moment in which it goes on to its disks and its XML with it: without that, a power cut
/// between the two would leave an XML that names an overlay older than the disk below.
struct LiveMerge: Sendable {
    let connection: Connection
    let domain: DomainID
    let progress: @Sendable (String) -> Void

    /// Merges, and gives the domain its disks back.
    ///
    /// - Parameter suspension: of a live merge that was interrupted: whether the pause that the domain may be in is ours.
    func run(_ pointing: Pointing, _ journal: Journal, suspension: Suspension? = nil) async throws {
        let disks = DomainDisks(connection: connection, domain: domain)
        // A merge that was interrupted may have let some of the disks go on already.
        let targets = try await disks.overlaid(pointing.substitutions, []).map(\.target)
        if !journal.hasMerged { try journal.append(.merge) }
        for target in targets {
            if let job = try await connection.blockJob(of: domain, disk: target) {
                guard job.kind == .activeCommit else {
                    throw DomainProblem(
                        "\(domain.name): \(target) has a block job (\(job.kind.rawValue)); end it first")
                }
            } else {
                try await connection.blockCommit(
                    domain, disk: target, base: nil, top: nil, options: [.active, .shallow])
            }
        }
        for target in targets { try await waitForEnd(of: target) }
        let isPaused = try await connection.summary(of: domain).state == .paused
        let suspension = isPaused ? suspension ?? .others : .ours
        try journal.append(.pivot(suspension))
        if !isPaused { try await connection.suspend(domain) }
        try await scoped {
            for target in targets { try await pivot(target) }
            try await disks.pointBack(pointing.substitutions, to: pointing.xml, .byPivot)
        } close: { [connection, domain] in
            if suspension == .ours { try await connection.resume(domain) }
        }
    }

    private func waitForEnd(of target: String) async throws {
        while true {
            guard let job = try await connection.blockJob(of: domain, disk: target) else {
                throw DomainProblem("\(domain.name): the merge of \(target) ended before its end: see libvirt's log")
            }
            progress("\(target): merging, \(job.end > 0 ? job.current * 100 / job.end : 0) %")
            if job.end > 0, job.current == job.end { return }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// A job whose numbers are at their end is ready only a moment later.
    private func pivot(_ target: String) async throws {
        try await Deadline.wait(for: .seconds(30), "\(domain.name): \(target) can't be pivoted") {
            do {
                try await connection.pivotBlockJob(of: domain, disk: target)
                return true
            } catch let error as LibvirtError where error.code == .blockCopyActive {
                return false
            }
        }
    }
}
