import HostTools

/// What this host can do; read before anything is planned.
public struct Host: Hashable, Sendable {
    /// Whether we run as root, which attaching needs.
    public var isRoot: Bool
    /// Why an engine can't be used; an engine that is not in here can.
    public var engineProblems: [EngineKind: String]
    /// Whether the kernel has device-mapper.
    public var hasDeviceMapper: Bool
    /// Programs that are missing, with their package, of those that every run needs.
    public var missingPrograms: [String]

    /// Describes a host; tests do.
    public init(
        isRoot: Bool, engineProblems: [EngineKind: String], hasDeviceMapper: Bool, missingPrograms: [String]
    ) {
        self.isRoot = isRoot
        self.engineProblems = engineProblems
        self.hasDeviceMapper = hasDeviceMapper
        self.missingPrograms = missingPrograms
    }

    /// Looks at this host. A kernel module that is there but not loaded counts; it is loaded when it is needed.
    static func read(_ runner: any CommandRunner, sandbox: Sandbox) async -> Host {
        let programs = ["qemu-img", "qemu-storage-daemon", "sleep"] + sandbox.requiredPrograms
        return Host(
            isRoot: Files.isRoot,
            engineProblems: [
                .nbd: await NBDEngine.problem(runner), .fuse: await FUSEEngine.problem(runner),
            ].compactMapValues { $0 },
            hasDeviceMapper: await KernelModule.isAvailable("dm_mod", sign: "/sys/class/misc/device-mapper", runner),
            missingPrograms: programs.filter { runner.path(of: $0) == nil }.map { program in
                let error = CommandError.notFound(program: program, package: DebianPackage.providing(program))
                let wayOut = ", or give its walls up: --allow \(Allowance.noSandbox.rawValue)"
                return error.description + (program == "bwrap" ? wayOut : "")
            })
    }
}
