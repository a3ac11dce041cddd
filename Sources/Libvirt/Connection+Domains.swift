internal import CLibvirt

/// Which domains of a host (`virConnectListAllDomainsFlags`).
public enum DomainSelection: Sendable {
    /// Active and inactive ones.
    case all
    /// Those that run, are paused or crashed.
    case active
    /// Those with snapshots that libvirt knows.
    case withSnapshots
    /// Those that have a managed save.
    case withManagedSave

    fileprivate var flags: UInt32 {
        switch self {
        case .all: 0
        case .active: VIR_CONNECT_LIST_DOMAINS_ACTIVE.rawValue
        case .withSnapshots: VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT.rawValue
        case .withManagedSave: VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE.rawValue
        }
    }
}

extension Connection {
    /// Domains, in one call to the daemon (`virConnectListAllDomains`).
    ///
    /// - Throws: ``LibvirtError``.
    public func listDomains(_ selection: DomainSelection = .all) throws(LibvirtError) -> [DomainID] {
        try allDomains(selection).map { domain throws(LibvirtError) in
            try DomainID(reading: domain)
        }
    }

    /// The XML of every snapshot of a domain, without passwords (`virDomainSnapshotGetXMLDesc`).
    ///
    /// - Throws: ``LibvirtError``.
    public func snapshotXMLs(of id: DomainID) throws(LibvirtError) -> [String] {
        try withDomain(id) { domain throws(LibvirtError) in
            var array: UnsafeMutablePointer<virDomainSnapshotPtr?>?
            let count = try LibvirtError.check(
                "virDomainListAllSnapshots", virDomainListAllSnapshots(domain, &array, 0))
            let snapshots = HandleList(owning: array, count: Int(count)) { virDomainSnapshotFree($0) }
            return try snapshots.map { snapshot throws(LibvirtError) in
                try LibvirtError.check(
                    "virDomainSnapshotGetXMLDesc", adopting: virDomainSnapshotGetXMLDesc(snapshot, 0))
            }
        }
    }

    /// The XML with which a domain's managed save is restored, without passwords (`virDomainManagedSaveGetXMLDesc`).
    ///
    /// - Throws: ``LibvirtError``.
    public func managedSaveXML(of id: DomainID) throws(LibvirtError) -> String {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check(
                "virDomainManagedSaveGetXMLDesc", adopting: virDomainManagedSaveGetXMLDesc(domain, 0))
        }
    }

    /// A summary of every domain; one that vanishes meanwhile is left out.
    ///
    /// Cheaper than ``summary(of:)`` for each of ``listDomains()``: the list already holds what that looks up.
    ///
    /// - Throws: ``LibvirtError``.
    public func summaries() throws(LibvirtError) -> [DomainSummary] {
        try allDomains().map { domain throws(LibvirtError) in
            do throws(LibvirtError) {
                return try DomainSummary(reading: domain)
            } catch {
                guard error.code == .noDomain else { throw error }
                return nil
            }
        }
    }

    /// A summary of every domain with the XML of what it is now, without passwords; one that vanishes meanwhile is left out.
    ///
    /// - Throws: ``LibvirtError``.
    public func summariesWithXML() throws(LibvirtError) -> [(summary: DomainSummary, xml: String)] {
        try allDomains().map { domain throws(LibvirtError) in
            do throws(LibvirtError) {
                let xml = try LibvirtError.check("virDomainGetXMLDesc", adopting: virDomainGetXMLDesc(domain, 0))
                return (try DomainSummary(reading: domain), xml)
            } catch {
                guard error.code == .noDomain else { throw error }
                return nil
            }
        }
    }

    /// What libvirt knows about a domain without its XML.
    ///
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/noDomain`` when it is gone.
    public func summary(of id: DomainID) throws(LibvirtError) -> DomainSummary {
        try withDomain(id) { domain throws(LibvirtError) in
            try DomainSummary(reading: domain)
        }
    }

    private func allDomains(_ selection: DomainSelection = .all) throws(LibvirtError) -> HandleList {
        var array: UnsafeMutablePointer<virDomainPtr?>?
        let count = try LibvirtError.check(
            "virConnectListAllDomains", virConnectListAllDomains(pointer, &array, selection.flags))
        return HandleList(owning: array, count: Int(count)) { virDomainFree($0) }
    }
}

extension DomainSummary {
    init(reading domain: virDomainPtr) throws(LibvirtError) {
        var number: Int32 = 0
        var reasonNumber: Int32 = 0
        try LibvirtError.check("virDomainGetState", virDomainGetState(domain, &number, &reasonNumber, 0))
        let state = DomainState(number)

        var autostart: Int32 = 0
        try LibvirtError.checkSupported("virDomainGetAutostart", virDomainGetAutostart(domain, &autostart))
        let isActive = try LibvirtError.check("virDomainIsActive", virDomainIsActive(domain)) == 1
        // (unsigned int) -1 is a domain without a number. The handle has it: no call to the daemon.
        let numericID = virDomainGetID(domain)
        self.init(
            id: try DomainID(reading: domain),
            numericID: isActive && numericID != .max ? Int(numericID) : nil,
            state: state,
            reason: StateReason(reasonNumber, of: state),
            isPersistent: try LibvirtError.check("virDomainIsPersistent", virDomainIsPersistent(domain)) == 1,
            isActive: isActive,
            autostart: autostart == 1,
            hasManagedSave: try LibvirtError.checkSupported(
                "virDomainHasManagedSaveImage", virDomainHasManagedSaveImage(domain, 0)) == 1,
            snapshotCount: try LibvirtError.checkSupported("virDomainSnapshotNum", virDomainSnapshotNum(domain, 0)),
            checkpointCount: try LibvirtError.checkSupported(
                "virDomainListAllCheckpoints", virDomainListAllCheckpoints(domain, nil, 0)))
    }
}

extension LibvirtError {
    /// As ``check(_:_:)-(_,Int32)``, but 0 where the driver doesn't have the function at all.
    @discardableResult
    fileprivate static func checkSupported(_ call: String, _ result: Int32) throws(LibvirtError) -> Int {
        guard result < 0 else { return Int(result) }
        let error = last(call)
        guard error.code == .noSupport else { throw error }
        return 0
    }
}
