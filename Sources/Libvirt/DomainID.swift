internal import CLibvirt

/// Which domain: its UUID, which is what counts, and the name it had when it was found.
///
/// Two are equal when their UUIDs are: a domain that was renamed meanwhile is the same one.
public struct DomainID: Sendable, Codable, CustomStringConvertible {
    /// The UUID as libvirt prints it: 36 lower-case characters.
    public let uuid: String
    /// The name.
    public let name: String

    /// Makes an ID from what is known already, such as a journal's entry.
    ///
    /// - Parameters:
    ///   - uuid: 36 characters, lower case.
    ///   - name: the name, for people.
    public init(uuid: String, name: String) {
        self.uuid = uuid
        self.name = name
    }

    /// The name.
    public var description: String { name }
}

extension DomainID: Hashable {
    /// Compares the UUIDs.
    public static func == (left: DomainID, right: DomainID) -> Bool {
        left.uuid == right.uuid
    }

    /// Hashes the UUID.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(uuid)
    }
}

extension DomainID {
    /// Reads both from the handle, which holds them: no call to the daemon.
    init(reading domain: virDomainPtr) throws(LibvirtError) {
        guard let name = virDomainGetName(domain) else { throw .last("virDomainGetName") }
        self.name = String(cString: name)

        // VIR_UUID_STRING_BUFLEN: 36 characters and the NUL.
        var buffer = [CChar](repeating: 0, count: Int(VIR_UUID_STRING_BUFLEN))
        try LibvirtError.check("virDomainGetUUIDString", virDomainGetUUIDString(domain, &buffer))
        uuid = buffer.withUnsafeBufferPointer { text in
            text.baseAddress.map { String(cString: $0) } ?? ""
        }
    }
}
