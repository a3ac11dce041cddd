internal import CLibvirt

/// Which XML of a domain (`virDomainXMLFlags` in `libvirt/libvirt-domain.h`).
public struct XMLOptions: OptionSet, Hashable, Sendable {
    /// libvirt's flags.
    public let rawValue: UInt32

    /// Wraps libvirt's flags.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// With passwords; needs a read-write connection. Without it a define of the XML loses them.
    public static let secure = XMLOptions(rawValue: VIR_DOMAIN_XML_SECURE.rawValue)
    /// The configuration of the next start, not that of the running domain.
    public static let inactive = XMLOptions(rawValue: VIR_DOMAIN_XML_INACTIVE.rawValue)
}

/// Whether libvirt compares an XML with its schema.
public enum SchemaValidation: Sendable {
    /// It doesn't, as it doesn't when it reads its own files.
    case none
    /// It does (`VIR_DOMAIN_DEFINE_VALIDATE`); an unknown element is an error.
    case strict
}

extension Connection {
    /// The XML of a domain (`virDomainGetXMLDesc`).
    ///
    /// - Parameters:
    ///   - id: which domain.
    ///   - options: which XML; without any, what the domain is now, and without passwords.
    /// - Throws: ``LibvirtError``.
    public func xml(of id: DomainID, _ options: XMLOptions = []) throws(LibvirtError) -> String {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check("virDomainGetXMLDesc", adopting: virDomainGetXMLDesc(domain, options.rawValue))
        }
    }

    /// Writes the persistent configuration of a domain, new or existing (`virDomainDefineXMLFlags`).
    ///
    /// A running domain keeps what it has until its next start. When this returns, the file is written but its folder isn't
    /// synced: a power cut can bring the old one back.
    ///
    /// - Parameters:
    ///   - xml: the whole configuration.
    ///   - validation: whether libvirt compares it with its schema.
    /// - Throws: ``LibvirtError``.
    @discardableResult
    public func define(xml: String, validation: SchemaValidation = .none) throws(LibvirtError) -> DomainID {
        let flags =
            switch validation {
            case .none: UInt32(0)
            case .strict: VIR_DOMAIN_DEFINE_VALIDATE.rawValue
            }
        let domain = try LibvirtError.check(
            "virDomainDefineXMLFlags", virDomainDefineXMLFlags(pointer, xml, flags))
        return try DomainHandle(owning: domain).lend { domain throws(LibvirtError) in
            try DomainID(reading: domain)
        }
    }
}
