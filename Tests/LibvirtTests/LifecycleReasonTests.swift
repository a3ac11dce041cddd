import Libvirt
import Testing

struct LifecycleReasonTests {
    @Test(arguments: [
        (LifecycleEvent.Kind.stopped, Int32(0), LifecycleEvent.Reason.shutdown), (.stopped, 1, .destroyed),
        (.stopped, 2, .crashed), (.stopped, 5, .failed), (.stopped, 6, .fromSnapshot), (.stopped, 7, .unknown),
        (.suspended, 0, .paused), (.suspended, 2, .ioError), (.suspended, 3, .watchdog),
        (.suspended, 8, .postCopyFailed), (.crashed, 0, .panicked), (.crashed, 1, .crashLoaded), (.shutdown, 1, .guest),
        (.shutdown, 2, .host), (.started, 0, .unknown), (.stopped, -1, .unknown),
    ])
    func `numbers have the header's meaning`(
        _ kind: LifecycleEvent.Kind, _ detail: Int32, _ reason: LifecycleEvent.Reason
    ) {
        let event = LifecycleEvent(
            domain: DomainID(uuid: "00000000-0000-4000-8000-000000000001", name: "web"), event: kind, detail: detail)
        #expect(event.reason == reason)
    }

    @Test(.timeLimit(.minutes(40))) func `a pull of the plug says so`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let events = try await connection.lifecycleEvents()
        try await connection.destroy(web)
        #expect(await events.first { $0.event == .stopped }?.reason == .destroyed)
    }
}
