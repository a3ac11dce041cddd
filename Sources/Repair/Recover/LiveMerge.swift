import HostTools
import LibXML
import Libvirt

/// Merges the overlays of a running domain into its disks, while it runs.
///
/// The guest is suspended for the moment in which it goes on to its disks and its XML with it: without that, a power cut
/// between the two would leave an XML that names an overlay older than the disk below.
struct LiveMerge: Sendable {
    let connection: Connection
    let runner: any CommandRunner
    let domain: DomainID
    let progress: @Sendable (String) -> Void

    /// Merges, and gives the domain its disks back.
    ///
    /// - Parameter suspension: of a live merge that was interrupted: whether the pause that the domain may be in is ours.
    func run(_ pointing: Pointing, _ journal: Journal, suspension: Suspension? = nil) async throws {
        let disks = DomainDisks(connection: connection, domain: domain)
        var jobs: [String: BlockJob] = [:]
        for target in pointing.substitutions.map(\.target) {
            jobs[target] = try await connection.blockJob(of: domain, disk: target)
        }
        // A merge that was interrupted may have let some of the disks go on already. Asked for after the jobs: libvirt answers
        // that when it has done what it was asked to before.
        let substitutions = try await disks.overlaid(pointing.substitutions, [])
        let targets = substitutions.map(\.target)
        try await check(substitutions, pointing, hasBegun: journal.hasMerged)
        if !journal.hasMerged { try journal.append(.merge) }
        for target in targets {
            if let job = jobs[target] {
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

    /// Nobody may have come to use the disks, or have written to them, since their overlays were made: the host's administrator may
    /// have looked at disks that were said to be untouched.
    private func check(
        _ substitutions: [DomainXMLEdit.Substitution], _ pointing: Pointing, hasBegun: Bool
    ) async throws {
        let named = substitutions.map { ($0.target, $0.disk) }
        if let objection = try await DiskUsers.objection(
            to: named, of: domain.uuid, isPlanned: false, connection, runner)
        {
            throw DomainProblem("\(domain.name): \(objection); then: virt-fsck recover --keep \(domain.name)")
        }
        for substitution in substitutions where !hasBegun {
            let status = try FileStatus(of: substitution.disk)
            guard let mark = pointing.disks[substitution.target], status.kind == .regular else { continue }
            guard status.identity.inode == mark.inode, status.modified == mark.modified else {
                throw DomainProblem(
                    "\(domain.name): \(substitution.target): somebody wrote to \(substitution.disk) since its overlay was made, or put "
                        + "another file there; a merge would mix the two. It runs on its overlay; shut it down, and give the "
                        + "repair up: virt-fsck recover --discard \(domain.name)")
            }
        }
    }

    private func waitForEnd(of target: String) async throws {
        while true {
            guard let job = try await connection.blockJob(of: domain, disk: target) else {
                throw DomainProblem("\(domain.name): the merge of \(target) ended before its end: see libvirt's log")
            }
            progress("\(target): merging, \(job.end > 0 ? job.current * 100 / job.end : 0) %")
            if try await isReady(target) { return }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Whether the disk has had everything once, and gets what the guest writes. The job's numbers don't tell: as long as the
    /// guest goes on writing, some of it is always on its way.
    private func isReady(_ target: String) async throws -> Bool {
        let document = try Document(try await connection.xml(of: domain))
        return try document.matches(
            "/domain/devices/disk[target/@dev=$target]/mirror[@ready='yes']", ["target": target])
    }

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
