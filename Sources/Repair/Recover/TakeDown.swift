import Glibc
import HostTools

/// Takes down what a run left. Of what is on the host (processes, mappings, devices, mounts, folders) the journal needs to
/// name nothing but the run: everything carries its name, and nothing else does.
struct TakeDown: Sendable {
    private let header: JournalHeader
    private var run: String { header.run }

    init(_ header: JournalHeader) {
        self.header = header
    }

    /// Takes everything down, overlays included. Only where no domain's XML names one of them.
    ///
    /// - Throws: what can't be taken down, in words.
    func all() async throws {
        try await host()
        try overlays()
    }

    /// Deletes the overlays, which by their names are this run's.
    func overlays() throws {
        for overlay in header.overlays {
            guard let status = try? FileStatus(ofLink: overlay.overlay) else { continue }
            guard status.kind == .regular else {
                throw DomainProblem("\(overlay.overlay): is no file; it is left alone")
            }
            try OverlayFile.remove(overlay.overlay)
        }
    }

    /// Takes down what is on the host; what is gone already is fine.
    ///
    /// - Throws: what can't be taken down, in words.
    func host() async throws {
        let folder = RunFolders.runtime(of: run)
        // Checkers write to overlays that nobody will use. Who hangs on a daemon that hangs ends with the daemon.
        _ = await MarkedProcess.end(ofRun: run, [.worker], by: [(SIGKILL, .seconds(5))])
        try removeMappings(patience: .seconds(5))
        // INT is what makes qemu-nbd disconnect its device.
        _ = await MarkedProcess.end(ofRun: run, [.holder], by: [(SIGINT, .seconds(5)), (SIGKILL, .seconds(5))])
        try detachLoopDevices(over: folder)
        // It closes its images properly, and its locks are gone with it.
        let steps: [(signal: Int32, patience: Duration)] = [(SIGTERM, .seconds(10)), (SIGKILL, .seconds(30))]
        guard await MarkedProcess.end(ofRun: run, Set(RunMark.Role.allCases), by: steps) else {
            let left = MarkedProcess.all(ofRun: run).map { "\($0.pid)" }.joined(separator: ", ")
            throw DomainProblem("processes \(left) of the interrupted run \(run) don't end, not even by SIGKILL")
        }
        try Files.unmountAll(below: folder)
        // Autoclear leaves them to their last user, who is gone now.
        try removeMappings(patience: .seconds(10))
        try detachLoopDevices(over: folder)
        try await Deadline.wait(for: .seconds(10), "a loop device over \(folder) is still in use") {
            Leftovers.loopDevices(over: folder).isEmpty
        }
        try Files.removeTree(folder)
        try Files.removeTree(RunFolders.devices(of: run))
    }

    private func removeMappings(patience: Duration) throws {
        // Those that were made later may stand on the earlier ones.
        for name in Leftovers.mappings(prefix: "virt-fsck-\(run)-").reversed() {
            try DeviceMapper.remove(name: name, timeout: patience)
        }
    }

    private func detachLoopDevices(over folder: String) throws {
        for path in Leftovers.loopDevices(over: folder) { try Leftovers.detach(loopDevice: path) }
    }
}
