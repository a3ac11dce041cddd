internal import Synchronization

/// Keeps a process from ending while libvirtd works on a registration or a stream of it.
///
/// libvirtd crashes then: where a client is gone, its main thread frees the client's lists, and in 9.0
/// (`remoteClientFreePrivateCallbacks` in `remote_daemon_dispatch.c`, `daemonRemoveAllClientStreams` in `remote_daemon_stream.c`)
/// it does so without the lock under which a worker is just changing them.
final class Departure: Sendable {
    /// That of this process.
    static let ofProcess = Departure()

    private struct State {
        var isAnnounced = false
        var count = 0
    }

    private let state = Mutex(State())

    /// Does something that libvirtd works on, unless the process is about to end: libvirtd cleans up after it by itself.
    ///
    /// - Throws: what `body` throws; ``LibvirtError/Code/cancelled`` where nothing was done.
    func unlessLeaving<Value>(_ body: () throws(LibvirtError) -> Value) throws(LibvirtError) -> Value {
        let isAllowed = state.withLock { state in
            if !state.isAnnounced { state.count += 1 }
            return !state.isAnnounced
        }
        guard isAllowed else {
            throw LibvirtError(call: "libvirt", code: .cancelled, message: "the process is about to end")
        }
        defer { state.withLock { $0.count -= 1 } }
        return try body()
    }

    /// Lets nothing new begin, and waits for what is under way.
    ///
    /// - Parameter limit: for a libvirtd that doesn't answer any more.
    func leave(within limit: Duration) async {
        state.withLock { $0.isAnnounced = true }
        let deadline = ContinuousClock.now + limit
        while state.withLock({ $0.count > 0 }), ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(1))
        }
    }
}

extension Connection {
    /// To be called when the process is about to end: waits for what libvirtd must not be left alone with, for five seconds at
    /// most. Connections, their events and consoles are of no use afterwards.
    public static func leave() async {
        await Departure.ofProcess.leave(within: .seconds(5))
    }
}
