import Libvirt

/// What a boot is watched through, as long as one connection to libvirt lasts.
struct BootLink: Sendable {
    let connection: Connection
    /// Nil where the domain has none, or somebody else has it.
    let console: Console?
    let events: AsyncStream<LifecycleEvent>

    /// What it takes to go on watching after libvirtd was restarted: a domain goes on without it.
    func resumption(of domain: DomainID) async throws -> Resumption {
        Resumption(
            uri: try await connection.uri(), domain: domain,
            numericID: try await connection.summary(of: domain).numericID,
            hasConsole: console != nil)
    }

    /// A way back to a domain whose libvirtd is gone.
    struct Resumption: Sendable {
        let uri: String
        let domain: DomainID
        /// libvirt's number of this run of the domain, which a restart of libvirtd keeps.
        let numericID: Int?
        let hasConsole: Bool

        /// What was found by a connection.
        enum Found: Sendable {
            /// The same run of the domain.
            case again(BootLink)
            /// It is off.
            case off(Connection)
            /// It is another run of it, or none: what, in words.
            case another(Connection, String)
        }

        /// Tries until a libvirt answers that knows the domain; nil when none does in time.
        func link(until deadline: ContinuousClock.Instant) async -> Found? {
            while ContinuousClock.now < deadline, !Task.isCancelled {
                if let found = try? await find() { return found }
                try? await Task.sleep(for: .milliseconds(200))
            }
            return nil
        }

        private func find() async throws -> Found {
            let connection = try await Connection.open(uri, timeout: .seconds(10))
            // First, so that nothing is missed between.
            let events = try await connection.lifecycleEvents()
            let summary = try await connection.summary(of: domain)
            guard !summary.hasManagedSave else {
                return .another(connection, "somebody has saved it (virsh managedsave)")
            }
            guard summary.isActive else { return .off(connection) }
            guard summary.numericID == numericID else {
                return .another(connection, "it was started anew while libvirtd was gone")
            }
            let console = hasConsole ? try? await connection.openConsole(domain) : nil
            return .again(BootLink(connection: connection, console: console, events: events))
        }
    }
}
