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

    @Test func `the last stream that goes is the last`() {
        let hub = EventHub()
        let one = hub.add(AsyncStream<LifecycleEvent>.makeStream().continuation)
        let other = hub.add(AsyncStream<LifecycleEvent>.makeStream().continuation)
        #expect(!hub.remove(one))
        #expect(hub.remove(other))
    }
}
