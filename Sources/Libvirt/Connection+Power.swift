internal import CLibvirt

/// How a domain starts.
public enum StartMode: Sendable {
    /// Its CPUs run.
    case running
    /// Its CPUs wait for ``Connection/resume(_:)`` (`VIR_DOMAIN_START_PAUSED`).
    case paused
}

extension Connection {
    /// Starts an inactive domain; from its managed save when it has one (`virDomainCreateWithFlags`).
    ///
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/operationInvalid`` when it is active.
    public func start(_ id: DomainID, _ mode: StartMode = .running) throws(LibvirtError) {
        let flags =
            switch mode {
            case .running: UInt32(0)
            case .paused: VIR_DOMAIN_START_PAUSED.rawValue
            }
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check("virDomainCreateWithFlags", virDomainCreateWithFlags(domain, flags))
        }
    }

    /// Asks the guest to shut down, and returns at once (`virDomainShutdown`); the guest may ignore it.
    ///
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/operationInvalid`` when it isn't running.
    public func shutDown(_ id: DomainID) throws(LibvirtError) {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check("virDomainShutdown", virDomainShutdown(domain))
        }
    }

    /// Pulls the plug (`virDomainDestroy`); what the guest had not written is lost.
    ///
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/operationInvalid`` when it isn't active.
    public func destroy(_ id: DomainID) throws(LibvirtError) {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check("virDomainDestroy", virDomainDestroy(domain))
        }
    }

    /// Makes sure that a domain is off, by pulling the plug where it is not; one that goes off by itself meanwhile is fine.
    ///
    /// - Throws: ``LibvirtError``.
    public func ensureOff(_ id: DomainID) throws(LibvirtError) {
        do throws(LibvirtError) {
            guard try summary(of: id).isActive else { return }
            try destroy(id)
        } catch let error where error.code == .operationInvalid {
            guard try summary(of: id).isActive else { return }
            throw error
        }
    }

    /// Stops the CPUs; the domain keeps its memory and its disks (`virDomainSuspend`).
    ///
    /// - Throws: ``LibvirtError``.
    public func suspend(_ id: DomainID) throws(LibvirtError) {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check("virDomainSuspend", virDomainSuspend(domain))
        }
    }

    /// Lets the CPUs of a suspended domain run again (`virDomainResume`).
    ///
    /// - Throws: ``LibvirtError``.
    public func resume(_ id: DomainID) throws(LibvirtError) {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check("virDomainResume", virDomainResume(domain))
        }
    }

    /// Throws the saved memory away, so that the next start is a boot (`virDomainManagedSaveRemove`).
    ///
    /// - Throws: ``LibvirtError``.
    public func removeManagedSave(_ id: DomainID) throws(LibvirtError) {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check("virDomainManagedSaveRemove", virDomainManagedSaveRemove(domain, 0))
        }
    }
}
