/// The walls around a program that reads a guest's data: a checker, or `lvm`.
///
/// bubblewrap(1) gives it namespaces of its own and a root that holds nothing but the programs and the device nodes it is
/// shown; setpriv(1) then takes its uid and every capability. uid 0 without capabilities would be no wall: such a checker can
/// write the host's `/proc/sys` files and use loop ioctls. Outside of both, choom(1) and prlimit(1) bound what it takes.
public struct Sandbox: Hashable, Sendable {
    /// Uid and gid that a checker runs as. The number is from the range that systemd hands to transient services
    /// (systemd.exec(5), DynamicUser): it owns no file.
    public static let userID: UInt32 = 61184

    /// Whether programs run inside bubblewrap or bare.
    public enum Kind: Hashable, Sendable {
        /// Behind every wall.
        case bubblewrap
        /// Only uid and capabilities are taken and the limits set: `--allow no-sandbox`.
        case privilegesOnly
    }

    /// A device node that a program is shown.
    public struct Device: Hashable, Sendable {
        /// Path of the node on the host, owned by ``Sandbox/userID``.
        public var node: String
        /// What it is called in the program's `/dev`; letters, digits, `-`, `_` and `.` only.
        public var name: String

        /// Describes a node; makes nothing.
        public init(node: String, name: String) {
            self.node = node
            self.name = name
        }
    }

    /// What a program needs beside its devices.
    public enum Need: Hashable, Sendable {
        /// Nothing.
        case nothing
        /// Room for hundreds of threads: xfs_repair(8) starts some for each allocation group.
        case threads
        /// A file in the place of `/proc/devices`, by its path, and an empty folder for its configuration: lvm(8).
        case deviceTypes(String)
        /// A program that lies anywhere, with its libraries: this one.
        case program(OwnProgram)
    }

    private let kind: Kind
    /// What a confined program may take.
    public let limits: ResourceLimits

    /// The sandbox of this kind.
    public init(_ kind: Kind, limits: ResourceLimits = .ofThisHost) {
        self.kind = kind
        self.limits = limits
    }

    /// Programs that must be installed.
    public var requiredPrograms: [String] {
        let always = ["choom", "prlimit", "setpriv"]
        return kind == .bubblewrap ? ["bwrap"] + always : always
    }

    /// The path by which a confined program finds a device: what its arguments must say.
    public func path(of device: Device) -> String {
        kind == .bubblewrap ? "/dev/\(device.name)" : device.node
    }

    /// The path by which a confined program is found that ``Need/program(_:)`` shows.
    public func path(of program: OwnProgram) -> String {
        kind == .bubblewrap ? "/virt-fsck" : program.path
    }

    /// Puts a command behind the walls. What it does to a device may be lost at any time, so the user may have it killed.
    ///
    /// - Parameters:
    ///   - devices: all that it sees; its arguments name them by ``path(of:)``.
    ///   - need: what it can't do without.
    public func confine(_ command: Command, to devices: [Device], needing need: Need = .nothing) -> Command {
        var confined = command
        confined.haste = .kill
        confined.program = "choom"
        // The kernel's first choice when the host runs out of memory; inherited, and only root may take it back.
        confined.arguments = ["-n", "1000", "--", "prlimit"]
        confined.arguments += limits.arguments(threadStack: need == .threads ? .small : .default)
        if kind == .bubblewrap {
            confined.arguments += ["bwrap"] + Self.walls
            if case .deviceTypes(let file) = need {
                confined.arguments += ["--ro-bind", file, "/proc/devices"]
                confined.arguments += ["--perms", "0755", "--dir", "/etc/lvm"]
            }
            if case .program(let program) = need { confined.arguments += showing(program) }
            for device in devices { confined.arguments += ["--dev-bind", device.node, path(of: device)] }
            confined.arguments.append("--")
            confined.input = SystemCallFilter.program
        }
        if !staysRoot(devices, need) {
            confined.arguments += ["setpriv", "--reuid", "\(Self.userID)", "--regid", "\(Self.userID)"]
            confined.arguments += ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]
        }
        confined.arguments += [command.program] + command.arguments
        return confined
    }

    private func showing(_ program: OwnProgram) -> [String] {
        var arguments = ["--ro-bind", program.path, path(of: program)]
        guard !program.libraryFolders.isEmpty else { return arguments }
        arguments += ["--perms", "0755", "--dir", "/libraries"]
        let places = program.libraryFolders.indices.map { "/libraries/\($0)" }
        for (folder, place) in zip(program.libraryFolders, places) { arguments += ["--ro-bind", folder, place] }
        return arguments + ["--setenv", "LD_LIBRARY_PATH", places.joined(separator: ":")]
    }

    /// Where lvm sees the host's own list of device types, it takes a mapped device only when it may ask device-mapper
    /// about it, which is root's.
    private func staysRoot(_ devices: [Device], _ need: Need) -> Bool {
        guard kind == .privilegesOnly, case .deviceTypes = need else { return false }
        return devices.contains { (try? DeviceNumber(ofNode: $0.node))?.isMapped ?? false }
    }

    /// How a confined program ended, from how its walls did: bubblewrap ends by itself, with 128 plus the signal that ended
    /// the program.
    public func status(of walls: CommandStatus) -> CommandStatus {
        guard kind == .bubblewrap, case .exited(let code) = walls, (129...192).contains(code) else { return walls }
        return .signaled(code - 128)
    }

    /// The host's folders that a confined program sees.
    static let shownFolders = ["/usr", "/bin", "/sbin", "/lib", "/lib64"]

    // --unshare-all would want a user namespace; --new-session would take the checker out of the process group that we
    // signal; there is no /dev/tty inside that could be abused instead. xfs_repair wants a list of mounts: an empty one.
    private static let walls: [String] = {
        var walls = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        // Parents that bubblewrap makes by itself are root's alone.
        for folder in ["/dev", "/etc", "/proc"] { walls += ["--perms", "0755", "--dir", folder] }
        for path in shownFolders + ["/etc/ld.so.cache", "/etc/alternatives"] {
            walls += ["--ro-bind-try", path, path]
        }
        walls += ["--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/null", "/proc/mounts"]
        walls += ["--seccomp", "0", "--chdir", "/", "--cap-drop", "ALL"]
        for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] { walls += ["--cap-add", capability] }
        return walls
    }()
}
