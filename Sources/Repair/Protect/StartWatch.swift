import Libvirt
import Synchronization

/// Notices a start of the domain while its disks are ours. Image locks keep only qcow2 disks from being started; and a domain
/// that was started and stopped again leaves disks that are newer than their overlays.
final class StartWatch: Sendable {
    private let state: StartState
    private let listening: Task<Void, Never>

    /// Begins to watch; from the return on no start is missed.
    ///
    /// - Throws: `LibvirtError` when the connection has no events.
    init(_ domain: DomainID, on connection: Connection) async throws {
        let events = try await connection.lifecycleEvents()
        let state = StartState()
        self.state = state
        listening = Task {
            for await event in events where event.domain == domain && event.event == .started {
                state.set("was started during the repair")
            }
            // A stream that ends by itself is a connection that broke: starts may be missing.
            if !Task.isCancelled { state.set("may have been started during the repair: libvirt's events ended") }
        }
    }

    /// What speaks against using the overlays, as `web1: …` goes on; nil while nothing does.
    var objection: String? { state.value }

    /// Stops watching.
    func stop() {
        listening.cancel()
    }
}

private final class StartState: Sendable {
    private let text = Mutex<String?>(nil)

    var value: String? { text.withLock { $0 } }

    func set(_ value: String) {
        text.withLock { text in text = text ?? value }
    }
}
