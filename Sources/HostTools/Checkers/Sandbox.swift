/// The walls around a program that reads a guest's data.
///
/// bubblewrap(1) gives it namespaces of its own and a root that holds nothing but the programs and one device node;
/// setpriv(1) then takes its uid and every capability. uid 0 without capabilities would be no wall: such a checker can
/// write the host's `/proc/sys` files and use loop ioctls.
public struct Sandbox: Hashable, Sendable {
    /// Uid and gid that a checker runs as. The number is from the range that systemd hands to transient services
    /// (systemd.exec(5), DynamicUser): it owns no file.
    public static let userID: UInt32 = 61184

    /// Whether programs run inside bubblewrap or bare.
    public enum Kind: Hashable, Sendable {
        /// Behind every wall.
        case bubblewrap
        /// Only uid and capabilities are taken: `--allow no-sandbox`.
        case privilegesOnly
    }

    private let kind: Kind

    /// The sandbox of this kind.
    public init(_ kind: Kind) {
        self.kind = kind
    }

    /// Programs that must be installed.
    public var requiredPrograms: [String] {
        kind == .bubblewrap ? ["bwrap", "setpriv"] : ["setpriv"]
    }

    /// Puts a command behind the walls; the device is appended as its last argument.
    ///
    /// - Parameters:
    ///   - node: device node of the host, owned by ``userID``.
    ///   - name: what the program shall see in `/dev`; letters, digits, `-`, `_` and `.` only.
    public func confine(_ command: Command, toDevice node: String, named name: String) -> Command {
        var confined = command
        let device = kind == .bubblewrap ? "/dev/\(name)" : node
        var unprivileged = ["--reuid", "\(Self.userID)", "--regid", "\(Self.userID)", "--clear-groups"]
        unprivileged += ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--", command.program]
        unprivileged += command.arguments + [device]
        switch kind {
        case .privilegesOnly:
            confined.program = "setpriv"
            confined.arguments = unprivileged
        case .bubblewrap:
            confined.program = "bwrap"
            confined.arguments = Self.walls + ["--dev-bind", node, device, "--", "setpriv"] + unprivileged
            confined.input = SystemCallFilter.program
        }
        return confined
    }

    // --unshare-all would want a user namespace; --new-session would take the checker out of the process group that we
    // signal; there is no /dev/tty inside that could be abused instead. xfs_repair wants a list of mounts: an empty one.
    private static let walls: [String] = {
        var walls = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        for path in ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"] {
            walls += ["--ro-bind-try", path, path]
        }
        walls += ["--perms", "0755", "--dir", "/dev", "--dev-bind", "/dev/null", "/dev/null"]
        walls += ["--perms", "0755", "--dir", "/proc", "--dev-bind", "/dev/null", "/proc/mounts"]
        walls += ["--seccomp", "0", "--chdir", "/", "--cap-drop", "ALL"]
        for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] { walls += ["--cap-add", capability] }
        return walls
    }()
}
