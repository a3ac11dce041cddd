internal import CLibvirt
internal import Synchronization

/// Gives what libvirt tells a connection to every stream of it, and ends them when the connection breaks.
///
/// libvirt accepts one registration per connection and kind of event, so the streams share them. When the daemon goes, or
/// keepalive gives up, it stops telling without saying so; only the close callback does.
final class EventHub: Sendable {
    private struct State {
        var isClosed = false
        var lastNumber = 0
        var streams: [Int: AsyncStream<LifecycleEvent>.Continuation] = [:]
        var closeActions: [Int: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    /// Has libvirt call ``deliver(_:)``. The registration, whose number this gives, holds this object until it is removed.
    func registerLifecycle(on connection: virConnectPtr?) throws(LibvirtError) -> Int32 {
        let context = Unmanaged.passRetained(self)
        do throws(LibvirtError) {
            return try LibvirtError.check(
                "virConnectDomainEventRegisterAny",
                shim_virConnectDomainEventRegisterLifecycle(
                    connection, receiveLifecycleEvent, context.toOpaque(), releaseHub))
        } catch {
            // Refused: libvirt doesn't call the free function then.
            context.release()
            throw error
        }
    }

    /// Has libvirt tell of restarts, too; as ``registerLifecycle(on:)``.
    func registerReboots(on connection: virConnectPtr?) throws(LibvirtError) -> Int32 {
        let context = Unmanaged.passRetained(self)
        do throws(LibvirtError) {
            return try LibvirtError.check(
                "virConnectDomainEventRegisterAny",
                shim_virConnectDomainEventRegisterReboot(connection, receiveReboot, context.toOpaque(), releaseHub))
        } catch {
            context.release()
            throw error
        }
    }

    /// Adds a stream; gives the number to remove it with. On a broken connection the stream ends at once.
    func add(_ stream: AsyncStream<LifecycleEvent>.Continuation) -> Int {
        let (number, isClosed) = state.withLock { state in
            state.lastNumber += 1
            if !state.isClosed { state.streams[state.lastNumber] = stream }
            return (state.lastNumber, state.isClosed)
        }
        if isClosed { stream.finish() }
        return number
    }

    /// Removes a stream.
    func remove(_ number: Int) {
        state.withLock { $0.streams[number] = nil }
    }

    /// Has `action` run when the connection breaks, at once when it is broken already; gives the number to take it back with.
    ///
    /// libvirt tells the streams of a console nothing then: without this they would wait for ever.
    func whenClosed(_ action: @escaping @Sendable () -> Void) -> Int {
        let (number, isClosed) = state.withLock { state in
            state.lastNumber += 1
            if !state.isClosed { state.closeActions[state.lastNumber] = action }
            return (state.lastNumber, state.isClosed)
        }
        if isClosed { action() }
        return number
    }

    /// Takes an action of ``whenClosed(_:)`` back.
    func forget(_ number: Int) {
        state.withLock { $0.closeActions[number] = nil }
    }

    fileprivate func deliver(_ event: LifecycleEvent) {
        let streams = state.withLock { $0.streams }
        for stream in streams.values { stream.yield(event) }
    }

    /// Ends every stream, and those that are added later.
    func close() {
        // Ending a stream calls back into the code that removes it: not under the lock.
        let (streams, actions) = state.withLock { state in
            defer { (state.streams, state.closeActions) = ([:], [:]) }
            state.isClosed = true
            return (state.streams, state.closeActions)
        }
        for stream in streams.values { stream.finish() }
        for action in actions.values { action() }
    }
}

/// A function, not a closure: libvirt unregisters it by its address.
func connectionClosed(_ connection: virConnectPtr?, _ reason: Int32, _ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<EventHub>.fromOpaque(context).takeUnretainedValue().close()
}

/// Runs on the event loop's thread. The domain is libvirt's: it is read, not freed.
private func receiveLifecycleEvent(
    _ connection: virConnectPtr?, _ domain: virDomainPtr?, _ event: Int32, _ detail: Int32,
    _ context: UnsafeMutableRawPointer?
) -> Int32 {
    guard let domain, let context, let id = try? DomainID(reading: domain) else { return 0 }
    Unmanaged<EventHub>.fromOpaque(context).takeUnretainedValue()
        .deliver(LifecycleEvent(domain: id, event: LifecycleEvent.Kind(event), detail: detail))
    return 0
}

/// As the one above.
private func receiveReboot(_ connection: virConnectPtr?, _ domain: virDomainPtr?, _ context: UnsafeMutableRawPointer?) {
    guard let domain, let context, let id = try? DomainID(reading: domain) else { return }
    Unmanaged<EventHub>.fromOpaque(context).takeUnretainedValue()
        .deliver(LifecycleEvent(domain: id, event: .rebooted, detail: 0))
}

private func releaseHub(_ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<EventHub>.fromOpaque(context).release()
}
