import HostTools
import Libvirt

/// Powers a domain off, because the user asked for it.
struct PowerOff: Sendable {
    let connection: Connection
    let domain: DomainID
    let options: Options
    let progress: @Sendable (String) -> Void

    /// How often a guest that doesn't react is asked again: some throw away what comes too early.
    private static let interval = Duration.seconds(10)

    /// Powers it off; one that is off already is fine.
    ///
    /// - Throws: ``DomainProblem`` where it must not be, or does not go.
    func run() async throws {
        guard try await connection.summary(of: domain).isActive else { return }
        if options.powerOff.evidence == .required, try await Survey(connection: connection).evidence(of: domain) == nil
        {
            throw DomainProblem(
                "\(domain.name): runs, and nothing shows any more that its guest is dead; it is left alone",
                kind: .refusal)
        }
        if options.powerOff.asks, try await isOffAfterAsking() { return }
        guard options.powerOff.forces else {
            throw DomainProblem(
                "\(domain.name): did not shut down within \(options.powerOff.patience.inSeconds.wholeWords) s; pull its "
                    + "plug: --force-off", kind: .refusal)
        }
        progress("pulling the plug")
        try await connection.ensureOff(domain)
    }

    private func isOffAfterAsking() async throws -> Bool {
        progress("asking the guest to shut down")
        let deadline = ContinuousClock.now + options.powerOff.patience
        var nextAsking = ContinuousClock.now
        while true {
            guard try await connection.summary(of: domain).isActive else { return true }
            guard ContinuousClock.now < deadline else { return false }
            if ContinuousClock.now >= nextAsking {
                nextAsking = .now + Self.interval
                do throws(LibvirtError) {
                    try await connection.shutDown(domain)
                } catch {
                    // It may just have gone, and one whose CPUs are stopped can't listen.
                    guard try await connection.summary(of: domain).isActive else { return true }
                    guard options.powerOff.forces else { throw error }
                    return false
                }
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

extension Double {
    fileprivate var wholeWords: String { String(Int(rounded())) }
}
