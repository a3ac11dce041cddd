import HostTools
import Libvirt

/// libvirt's hook of ours (`libexec/libvirt-hook`), which refuses the start of a domain while somebody holds its lock file.
public enum StartHook: Hashable, Sendable {
    /// libvirt asks it before each start.
    case active
    /// It is not installed.
    case missing
    /// It was installed after this daemon had started: libvirt looks for hooks when it starts.
    case unseen(by: String)

    /// Where `make install` puts it (libvirt 6.5 and later: all programs in this folder).
    static let path = "/etc/libvirt/hooks/qemu.d/virt-fsck"

    /// Takes the lock that the hook tries. Not that of the run: a run starts its domain itself, when this one is free again.
    static func lock(_ domain: DomainID, in folder: String = RunLocks.folder) throws -> FileLock {
        try Files.makeFolder(folder)
        guard let lock = try FileLock.take("\(folder)/\(FileName.safe(domain.uuid)).start.lock") else {
            throw DomainProblem("\(domain.name): somebody holds the lock against its start", kind: .refusal)
        }
        return lock
    }

    /// Whether the daemon behind a connection asks the hook.
    ///
    /// - Parameter uri: as libvirt reports it.
    static func state(for uri: String) -> StartHook {
        let daemons = socket(in: uri).flatMap(HostProcess.listening).map { [$0] } ?? HostProcess.named(daemonNames)
        return daemons.map { state(of: path, before: $0) }.first { $0 != .active }
            ?? (daemons.isEmpty && !Files.exists(path) ? .missing : .active)
    }

    private static let daemonNames: Set = ["libvirtd", "virtqemud"]

    /// What a daemon makes of a hook, by when it was installed.
    static func state(of path: String, before daemon: HostProcess) -> StartHook {
        guard let hook = try? FileStatus(of: daemon.root + path), hook.mode & 0o111 != 0 else { return .missing }
        return hook.changed < daemon.startedAt ? .active : .unseen(by: daemon.name)
    }

    /// The socket that a URI names (libvirt: Connection URIs, parameter `socket`).
    private static func socket(in uri: String) -> String? {
        guard let query = uri.firstIndex(of: "?") else { return nil }
        return uri[query...].dropFirst().split(separator: "&").first { $0.hasPrefix("socket=") }
            .map { String($0.dropFirst("socket=".count)) }
    }
}
