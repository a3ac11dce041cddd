import CLinux
import Glibc

/// The mark that every program of a run carries in its environment (`VIRT_FSCK_RUN`, and what it is for in
/// `VIRT_FSCK_ROLE`). By it whoever recovers knows what is left of a run that was killed: unlike a process id, it is there
/// from the program's first instruction on, and no other process gets it.
public enum RunMark {
    /// The run that the programs started by this task belong to; nil for none.
    @TaskLocal public static var run: String?

    /// What a program is for.
    public enum Role: String, Hashable, Sendable, CaseIterable {
        /// Works and ends: a checker, lvm, qemu-img.
        case worker
        /// Holds a device and its lock.
        case holder
        /// Holds the images.
        case daemon
    }

    static func environment(_ role: Role) -> [String: String] {
        guard let run else { return [:] }
        return ["VIRT_FSCK_RUN": run, "VIRT_FSCK_ROLE": role.rawValue]
    }
}

/// A process that carries a run's mark.
public struct MarkedProcess: Hashable, Sendable {
    /// Its process id.
    public let pid: Int32
    /// What it is for.
    public let role: RunMark.Role

    /// Every process of a run that is alive. Those of other users don't count, the sandbox's excepted: everybody can give
    /// himself any environment.
    public static func all(ofRun run: String) -> [MarkedProcess] {
        Files.entries(of: "/proc").compactMap { name in
            guard let pid = Int32(name), let role = role(of: pid, run: run) else { return nil }
            return MarkedProcess(pid: pid, role: role)
        }
    }

    /// Ends a run's processes of a role: sends each signal and waits for a time until all are gone.
    ///
    /// - Returns: whether all are gone.
    public static func end(
        ofRun run: String, _ roles: Set<RunMark.Role>, by steps: [(signal: Int32, patience: Duration)]
    ) async -> Bool {
        for step in steps {
            let deadline = ContinuousClock.now + step.patience
            var signalled: Set<MarkedProcess> = []
            while true {
                let living = all(ofRun: run).filter { roles.contains($0.role) }
                if living.isEmpty { return true }
                // One that was started meanwhile gets it too.
                for process in living where signalled.insert(process).inserted { process.send(step.signal, run: run) }
                guard ContinuousClock.now < deadline else { break }
                try? await Task.sleep(for: .milliseconds(5))
            }
        }
        return false
    }

    /// Sends a signal through a descriptor of the process (pidfd_open(2)): its number can't become another's meanwhile.
    private func send(_ signal: Int32, run: String) {
        let descriptor = shim_pidfd_open(pid)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        guard Self.role(of: pid, run: run) == role else { return }
        _ = shim_pidfd_send_signal(descriptor, signal)
    }

    private static func role(of pid: Int32, run: String) -> RunMark.Role? {
        guard let owner = try? FileStatus(of: "/proc/\(pid)").userID, owner == 0 || owner == Sandbox.userID,
            let text = Files.content(of: "/proc/\(pid)/environ", limit: 1 << 16)
        else { return nil }
        let words = text.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        guard words.contains("VIRT_FSCK_RUN=\(run)") else { return nil }
        return RunMark.Role.allCases.first { words.contains("VIRT_FSCK_ROLE=\($0.rawValue)") } ?? .worker
    }
}
