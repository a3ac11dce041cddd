internal import CLibvirt

/// Something that happened to a domain.
public struct LifecycleEvent: Hashable, Sendable {
    /// What happened (`virDomainEventType` in `libvirt/libvirt-domain.h`).
    public enum Kind: String, Hashable, Sendable, Codable {
        /// Its configuration was written.
        case defined
        /// Its configuration was removed.
        case undefined
        /// It was started, also from a saved state.
        case started
        /// Its CPUs were stopped.
        case suspended
        /// Its CPUs run again.
        case resumed
        /// It is off.
        case stopped
        /// The guest has shut down; `stopped` follows.
        case shutdown
        /// The guest suspended itself.
        case pmsuspended
        /// The guest crashed.
        case crashed
        /// The guest has restarted itself, or somebody has reset it; the domain goes on running
        /// (`VIR_DOMAIN_EVENT_ID_REBOOT`, which is an event of its own in libvirt).
        case rebooted
        /// Newer than this list.
        case unknown

        init(_ number: Int32) {
            switch virDomainEventType(UInt32(bitPattern: number)) {
            case VIR_DOMAIN_EVENT_DEFINED: self = .defined
            case VIR_DOMAIN_EVENT_UNDEFINED: self = .undefined
            case VIR_DOMAIN_EVENT_STARTED: self = .started
            case VIR_DOMAIN_EVENT_SUSPENDED: self = .suspended
            case VIR_DOMAIN_EVENT_RESUMED: self = .resumed
            case VIR_DOMAIN_EVENT_STOPPED: self = .stopped
            case VIR_DOMAIN_EVENT_SHUTDOWN: self = .shutdown
            case VIR_DOMAIN_EVENT_PMSUSPENDED: self = .pmsuspended
            case VIR_DOMAIN_EVENT_CRASHED: self = .crashed
            default: self = .unknown
            }
        }
    }

    /// To which domain.
    public let domain: DomainID
    /// What.
    public let event: Kind
    /// Why: a number whose meaning depends on ``event`` (`virDomainEventStoppedDetailType` and its like; a `stopped` with 2
    /// is a crash, with 5 a failure).
    public let detail: Int32

    /// Makes an event from its parts; libvirt's own come from ``Connection/lifecycleEvents()``.
    ///
    /// - Parameters: as the properties.
    public init(domain: DomainID, event: Kind, detail: Int32) {
        self.domain = domain
        self.event = event
        self.detail = detail
    }
}

extension Connection {
    /// What happens to any domain from now on, in order (`virConnectDomainEventRegisterAny`): the events of its life, and its
    /// restarts.
    ///
    /// When this returns, the events are subscribed to: nothing that happens later is missed. The stream holds the connection
    /// open until it is dropped or its task is cancelled. It ends by itself only when the connection breaks: treat an end
    /// as "events may be missing". The subscription itself stays until the connection closes.
    ///
    /// - Throws: ``LibvirtError``.
    public func lifecycleEvents() throws(LibvirtError) -> AsyncStream<LifecycleEvent> {
        if registrations.isEmpty { try register() }
        let (events, continuation) = AsyncStream<LifecycleEvent>.makeStream()
        let number = hub.add(continuation)
        continuation.onTermination = { _ in
            // Strongly, on purpose: a stream holds its connection open.
            self.hub.remove(number)
        }
        return events
    }

    private func register() throws(LibvirtError) {
        try Departure.ofProcess.unlessLeaving { () throws(LibvirtError) in
            registrations.append(try hub.registerLifecycle(on: pointer))
            // Not every driver has it: without it restarts are not seen, and all else is.
            if let reboots = try? hub.registerReboots(on: pointer) { registrations.append(reboots) }
        }
    }

    /// Ends the registrations, which hold the C connection: without this it would never close.
    func deregister() {
        // Fails when the connection is broken; then nothing comes from it any more.
        for registration in registrations { virConnectDomainEventDeregisterAny(pointer, registration) }
        registrations = []
    }
}
