internal import CLibvirt

extension Connection {
    /// Finds a domain as virsh does: by number when it looks like one, then by UUID, then by name.
    ///
    /// - Parameter selector: what the user typed.
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/noDomain`` when none of the three finds it; any other failure of a
    ///   look-up as it is.
    public func lookUp(_ selector: String) throws(LibvirtError) -> DomainID {
        if let number = Int32(selector), number >= 0 {
            if let domain = try found("virDomainLookupByID", virDomainLookupByID(pointer, number)) { return domain }
        }
        // Only this form: libvirt takes UUIDs without hyphens as well, but virsh doesn't, and a name may look like one.
        if selector.utf8.count == Int(VIR_UUID_STRING_BUFLEN) - 1 {
            if let domain = try found("virDomainLookupByUUIDString", virDomainLookupByUUIDString(pointer, selector)) {
                return domain
            }
        }
        if let domain = try found("virDomainLookupByName", virDomainLookupByName(pointer, selector)) { return domain }
        throw LibvirtError(
            call: "virDomainLookupByName", code: .noDomain, domain: Int32(VIR_FROM_DOMAIN.rawValue),
            message: "no domain with matching name, UUID or id '\(selector)'")
    }

    /// Takes over the domain of a look-up; nil when there is none.
    private func found(_ call: String, _ domain: virDomainPtr?) throws(LibvirtError) -> DomainID? {
        guard let domain else {
            let error = LibvirtError.last(call)
            // A malformed UUID or an empty name is an invalid argument to libvirt; here it only isn't the one.
            if error.code == .noDomain || error.code == .invalidArgument { return nil }
            throw error
        }
        return try DomainHandle(owning: domain).lend { domain throws(LibvirtError) in
            try DomainID(reading: domain)
        }
    }

    /// Finds a domain by its UUID and lends it; every call that takes a ``DomainID`` comes through here.
    @discardableResult
    func withDomain<Result>(
        _ id: DomainID, _ body: (virDomainPtr) throws(LibvirtError) -> Result
    ) throws(LibvirtError) -> Result {
        let domain = try LibvirtError.check(
            "virDomainLookupByUUIDString", virDomainLookupByUUIDString(pointer, id.uuid))
        return try DomainHandle(owning: domain).lend(body)
    }
}
