import Testing

@testable import Libvirt

struct EventHubTests {
    @Test(.timeLimit(.minutes(40))) func `streams end when the connection breaks, later ones at once`() async {
        let hub = EventHub()
        let (before, first) = AsyncStream<LifecycleEvent>.makeStream()
        _ = hub.add(first)
        hub.close()
        let (after, second) = AsyncStream<LifecycleEvent>.makeStream()
        _ = hub.add(second)
        #expect(await before.first { _ in true } == nil)
        #expect(await after.first { _ in true } == nil)
    }
}
