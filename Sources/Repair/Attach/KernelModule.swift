import HostTools

/// A kernel module: loaded, built in, or to be had.
enum KernelModule {
    /// Whether `sign` (a file that the module brings) exists or modprobe(8) would know how to load the module.
    static func isAvailable(_ module: String, sign: String, _ runner: any CommandRunner) async -> Bool {
        if Files.exists(sign) { return true }
        guard runner.path(of: "modprobe") != nil else { return false }
        return (try? await runner.run(Command("modprobe", "--dry-run", "--quiet", module)))?.isSuccess ?? false
    }

    /// Loads a module where it is not.
    static func load(_ module: String, sign: String, _ runner: any CommandRunner) async throws {
        if Files.exists(sign) { return }
        try await runner.output(of: Command("modprobe", module))
    }
}
