internal import CLibvirt

/// A connection to libvirt.
///
/// Opening the first one makes the process ignore SIGPIPE where it isn't handled: libvirt writes to its sockets with
/// write(2), and a daemon that is restarted would end the program.
///
/// libvirt's calls block until the daemon answers, so the actor runs on a thread of its own, off the cooperative pool. A
/// daemon that stops answering during a call is noticed by keepalive after 20 seconds (asked 5 s apart, 3 unanswered), where the
/// driver has it; the call then throws. The connection closes when its last reference and its last event stream are gone.
public actor Connection {
    /// What the connection may do.
    public enum Access: Sendable {
        /// Everything.
        case readWrite
        /// Looking only; changes throw ``LibvirtError/Code/operationDenied``. Needs fewer rights.
        case readOnly
    }

    private let executor = SerialQueueExecutor(label: "libvirt.connection")
    private var handle: ConnectionHandle

    /// Where the connection's event streams meet.
    let hub: EventHub
    /// libvirt's numbers of the registrations behind them; empty until there is a stream.
    var registrations: [Int32] = []
    /// The streams of the consoles that are open, by the number that each got.
    var consoles: [Int: StreamHandle] = [:]

    private init() {
        hub = EventHub()
        handle = ConnectionHandle(owning: nil, hub: hub)
    }

    /// The actor's own thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }

    // On the actor's thread: closing talks to the daemon, too.
    isolated deinit {
        try? Departure.ofProcess.unlessLeaving { deregister() }
    }

    /// Opens a connection.
    ///
    /// Waits as long as it takes; see ``open(_:access:timeout:)``.
    ///
    /// - Parameters:
    ///   - uri: such as `qemu:///system` (<https://libvirt.org/uri.html>). With nil libvirt takes `LIBVIRT_DEFAULT_URI`, its
    ///     configuration's `uri_default`, or what it finds on the host, in this order.
    ///   - access: what the connection may do.
    /// - Throws: ``LibvirtError``; ``LibvirtError/Code/systemError`` when nobody listens. A scheme that the library doesn't
    ///   know is the daemon's to refuse, so without one that is a system error, too.
    public static func open(
        _ uri: String?, access: Access = .readWrite
    ) async throws(LibvirtError) -> Connection {
        let connection = Connection()
        try await connection.connect(to: uri, access: access)
        return connection
    }

    /// Opens a connection, and gives up when the daemon doesn't answer in time.
    ///
    /// libvirt can't be interrupted while it opens: after a timeout the attempt and its thread stay behind until the daemon
    /// answers or hangs up, and a connection that opens late is closed at once.
    ///
    /// - Parameters:
    ///   - uri: as ``open(_:access:)``.
    ///   - access: what the connection may do.
    ///   - timeout: how long to wait.
    /// - Throws: ``LibvirtError`` as ``open(_:access:)``; ``LibvirtError/Code/timedOut`` after the timeout,
    ///   ``LibvirtError/Code/cancelled`` when the task is cancelled before either.
    public static func open(
        _ uri: String?, access: Access = .readWrite, timeout: Duration
    ) async throws(LibvirtError) -> Connection {
        // Unstructured: a task group would wait for the attempt, which is what must not happen.
        let (outcomes, continuation) = AsyncStream<Result<Connection, LibvirtError>>.makeStream()
        Task {
            do throws(LibvirtError) {
                continuation.yield(.success(try await open(uri, access: access)))
            } catch {
                continuation.yield(.failure(error))
            }
        }
        let timer = Task {
            guard (try? await Task.sleep(for: timeout)) != nil else { return }
            let message = "\(uri ?? "libvirt"): no answer within \(timeout)"
            continuation.yield(.failure(LibvirtError(call: "virConnectOpen", code: .timedOut, message: message)))
        }
        defer { timer.cancel() }
        for await outcome in outcomes {
            return try outcome.get()
        }
        throw LibvirtError(
            call: "virConnectOpen", code: .cancelled, message: "\(uri ?? "libvirt"): cancelled before it answered")
    }

    private func connect(to uri: String?, access: Access) throws(LibvirtError) {
        if let failure = EventLoop.startUpFailure { throw failure }
        let pointer =
            switch access {
            case .readWrite: try LibvirtError.check("virConnectOpen", virConnectOpen(uri))
            case .readOnly: try LibvirtError.check("virConnectOpenReadOnly", virConnectOpenReadOnly(uri))
            }
        handle = ConnectionHandle(owning: pointer, hub: hub)
        // Drivers that live in this process don't have it; they have no daemon that could stop answering either.
        _ = virConnectSetKeepAlive(pointer, 5, 3)
    }

    /// The connection for the calls of this actor, never for its callers. NULL before it is open, which libvirt refuses.
    var pointer: virConnectPtr? { handle.pointer }
}
