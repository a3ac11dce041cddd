internal import CLibvirt

/// How to open a console that somebody may have open already.
public struct ConsoleOptions: OptionSet, Sendable {
    /// The bits of `virDomainConsoleFlags`.
    public let rawValue: UInt32

    /// Wraps bits.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Takes the console from whoever has it, whose session ends (`VIR_DOMAIN_CONSOLE_FORCE`). Without it the call throws
    /// ``LibvirtError/Code/operationFailed`` when somebody has it.
    public static let force = ConsoleOptions(VIR_DOMAIN_CONSOLE_FORCE)
    /// Refuses where the driver can't make sure that nobody else has it (`VIR_DOMAIN_CONSOLE_SAFE`).
    public static let safe = ConsoleOptions(VIR_DOMAIN_CONSOLE_SAFE)

    private init(_ flag: virDomainConsoleFlags) {
        rawValue = UInt32(flag.rawValue)
    }
}

extension Connection {
    /// Opens the console of an active domain (`virDomainOpenConsole`).
    ///
    /// The domain may be paused: open the console of one that was started with ``StartMode/paused``, then resume it, and no
    /// line is lost. What was said before is not given. Only consoles that QEMU has as a `pty` can be opened.
    ///
    /// The console is read on libvirt's event loop, so the connection is free for other calls. It holds the connection open
    /// until it ends, is dropped, or its reader's task is cancelled.
    ///
    /// - Parameters:
    ///   - id: an active domain.
    ///   - device: the alias of a console, serial or parallel device, such as `serial0`; nil is the first console.
    ///   - options: what to do when somebody has it open.
    /// - Throws: ``LibvirtError``; ``LibvirtError/Code/operationInvalid`` when the domain isn't active,
    ///   ``LibvirtError/Code/operationFailed`` when somebody has it open.
    public func openConsole(
        _ id: DomainID, device: String? = nil, options: ConsoleOptions = []
    ) throws(LibvirtError) -> Console {
        let stream = try StreamHandle(on: pointer, flags: VIR_STREAM_NONBLOCK.rawValue)
        _ = try Departure.ofProcess.unlessLeaving { () throws(LibvirtError) in
            try withDomain(id) { domain throws(LibvirtError) in
                try LibvirtError.check(
                    "virDomainOpenConsole", virDomainOpenConsole(domain, device, stream.pointer, options.rawValue))
            }
        }
        return try console(reading: stream)
    }

    /// Takes over a non-blocking stream that was opened for reading.
    func console(reading stream: StreamHandle) throws(LibvirtError) -> Console {
        let (signals, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let buffer = ConsoleBuffer(signal: continuation)
        let context = Unmanaged.passRetained(buffer)
        do throws(LibvirtError) {
            // What came since the console was opened waits in the stream: libvirt calls for it, too.
            try LibvirtError.check(
                "virStreamEventAddCallback",
                virStreamEventAddCallback(
                    stream.pointer, Int32(VIR_STREAM_EVENT_READABLE.rawValue), consoleReadable, context.toOpaque(),
                    releaseBuffer))
        } catch {
            // Refused: libvirt doesn't call the free function then.
            context.release()
            virStreamAbort(stream.pointer)
            throw error
        }
        let number = hub.whenClosed {
            buffer.end(
                LibvirtError(call: "virStreamRecv", code: .rpc, message: "the connection to libvirt is broken"))
        }
        consoles[number] = stream
        continuation.onTermination = { _ in
            // Strongly, on purpose: the stream belongs to the C connection, so it must end before the actor does.
            Task { await self.closeConsole(number) }
        }
        return Console(buffer, signals: signals)
    }

    private func closeConsole(_ number: Int) {
        hub.forget(number)
        guard let stream = consoles.removeValue(forKey: number) else { return }
        virStreamEventRemoveCallback(stream.pointer)
        // Fails where it has ended already, or the connection is broken; it is freed either way.
        _ = try? Departure.ofProcess.unlessLeaving { virStreamAbort(stream.pointer) }
    }
}

/// Runs on the event loop's thread.
private func consoleReadable(_ stream: virStreamPtr?, _ events: Int32, _ context: UnsafeMutableRawPointer?) {
    guard let stream, let context else { return }
    // libvirt calls at once, again and again, for a stream that has ended.
    guard !Unmanaged<ConsoleBuffer>.fromOpaque(context).takeUnretainedValue().drain(stream) else { return }
    virStreamEventUpdateCallback(stream, 0)
}

private func releaseBuffer(_ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<ConsoleBuffer>.fromOpaque(context).release()
}
