internal import CLibvirt
internal import Synchronization

/// Ends the event streams of a connection when it breaks: the daemon went, or keepalive gave up.
///
/// libvirt doesn't deliver events after that, and doesn't say so to who waits for them.
final class ClosingSignal: Sendable {
    private struct State {
        var hasClosed = false
        var next = 0
        var observers: [Int: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    /// Has libvirt call ``close()``. The registration holds this object until the connection is freed.
    func register(on connection: virConnectPtr) {
        let context = Unmanaged.passRetained(self)
        let status = virConnectRegisterCloseCallback(connection, connectionClosed, context.toOpaque()) { context in
            guard let context else { return }
            Unmanaged<ClosingSignal>.fromOpaque(context).release()
        }
        // Refused: libvirt doesn't call the free function then.
        if status < 0 { context.release() }
    }

    /// Calls the body when the connection breaks, at once when it has; gives the number to remove it with.
    func observe(_ body: @escaping @Sendable () -> Void) -> Int {
        let (number, hasClosed) = state.withLock { state in
            state.next += 1
            if !state.hasClosed { state.observers[state.next] = body }
            return (state.next, state.hasClosed)
        }
        if hasClosed { body() }
        return number
    }

    func remove(_ number: Int) {
        state.withLock { _ = $0.observers.removeValue(forKey: number) }
    }

    fileprivate func close() {
        let observers = state.withLock { state in
            defer { state.observers = [:] }
            state.hasClosed = true
            return state.observers
        }
        for observer in observers.values { observer() }
    }
}

/// A function, not a closure: libvirt unregisters it by its address.
func connectionClosed(_ connection: virConnectPtr?, _ reason: Int32, _ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<ClosingSignal>.fromOpaque(context).takeUnretainedValue().close()
}
