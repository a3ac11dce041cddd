import Testing

@testable import Libvirt

struct EventTests {
    @Test(.timeLimit(.minutes(40))) func `a stream sees a start and a stop, in order`() async throws {
        let host = try TestHost([TestHost.domain("web", runState: 5)])
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let events = try await connection.lifecycleEvents()
        try await connection.start(web)
        try await connection.suspend(web)
        try await connection.resume(web)
        try await connection.destroy(web)
        var seen: [LifecycleEvent] = []
        for await event in events {
            seen.append(event)
            if event.event == .stopped { break }
        }
        #expect(seen.map(\.event) == [.started, .suspended, .resumed, .stopped])
        #expect(seen.allSatisfy { $0.domain.uuid == web.uuid && $0.domain.name == "web" })
        // VIR_DOMAIN_EVENT_STOPPED_DESTROYED
        #expect(seen.last?.detail == 1)
    }

    @Test(.timeLimit(.minutes(40))) func `a definition is an event`() async throws {
        let host = try TestHost([])
        let connection = try await Connection.open(host.uri)
        let events = try await connection.lifecycleEvents()
        let web = try await connection.define(xml: TestHost.domain("web"))
        let first = await events.first { _ in true }
        #expect(first == LifecycleEvent(domain: web, event: .defined, detail: 0))
    }

    @Test(.timeLimit(.minutes(40))) func `two streams see the same events`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let one = try await connection.lifecycleEvents()
        let other = try await connection.lifecycleEvents()
        try await connection.destroy(web)
        #expect(await one.first { _ in true }?.event == .stopped)
        #expect(await other.first { _ in true }?.event == .stopped)
    }

    @Test(.timeLimit(.minutes(40))) func `a stream that comes when all others are gone sees events, too`() async throws
    {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        for _ in 0..<3 {
            let events = try await connection.lifecycleEvents()
            try await connection.suspend(web)
            try await connection.resume(web)
            var seen: [LifecycleEvent.Kind] = []
            for await event in events {
                seen.append(event.event)
                if seen.count == 2 { break }
            }
            #expect(seen == [.suspended, .resumed])
        }
        #expect(await connection.registrations.count == 2)
    }

    @Test(.timeLimit(.minutes(40))) func `a stream keeps its connection open, and lets go of it`() async throws {
        let host = try TestHost()
        weak var observed: Connection?
        // libvirt's registration holds it.
        weak var hub: EventHub?
        do {
            let events: AsyncStream<LifecycleEvent>
            do {
                let connection = try await Connection.open(host.uri)
                observed = connection
                hub = await connection.hub
                events = try await connection.lifecycleEvents()
                try await connection.destroy(connection.lookUp("web"))
            }
            #expect(await events.first { _ in true }?.event == .stopped)
        }
        #expect(try await eventually { observed == nil })
        #expect(try await eventually { hub == nil })
    }

    @Test(.timeLimit(.minutes(40))) func `a cancelled task ends its stream`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let events = try await connection.lifecycleEvents()
        let watching = Task { await events.contains { _ in false } }
        watching.cancel()
        #expect(await watching.value == false)
    }

    @Test func `a connection closes when nobody holds it`() async throws {
        weak var observed: Connection?
        do {
            let connection = try await Connection.open("test:///default")
            observed = connection
            _ = try await connection.hostname()
        }
        #expect(try await eventually { observed == nil })
    }
}
