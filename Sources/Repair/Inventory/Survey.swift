public import Libvirt

/// Looks at every domain of a host: which have failed, and by what evidence. Read-only.
public struct Survey: Sendable {
    private let connection: Connection

    /// A survey of the domains of a connection.
    public init(connection: Connection) {
        self.connection = connection
    }

    /// Every domain, by name.
    ///
    /// - Throws: `LibvirtError`.
    public func domains() async throws -> [DomainListing] {
        var listings: [DomainListing] = []
        for (summary, xml) in try await connection.summariesWithXML() {
            // An XML that makes no sense to us is no reason to leave a domain out.
            let description = try? DomainDescription(xml: xml)
            listings.append(listing(summary, description))
        }
        return listings.sorted { $0.summary.id.name < $1.summary.id.name }
    }

    /// Why one domain counts as failed now; nil where nothing speaks for that.
    ///
    /// - Throws: `LibvirtError`.
    public func evidence(of domain: DomainID) async throws -> String? {
        let summary = try await connection.summary(of: domain)
        return listing(summary, try? DomainDescription(xml: try await connection.xml(of: domain))).evidence
    }

    private func listing(_ summary: DomainSummary, _ description: DomainDescription?) -> DomainListing {
        DomainListing(
            summary: summary, evidence: FailureEvidence.inState(of: summary),
            disks: description?.disks.filter { $0.device == .disk || $0.device == .lun }.map { disk in
                DomainListing.Disk(target: disk.target, source: disk.source.words, format: disk.format)
            } ?? [])
    }
}

extension Disk.Source {
    /// What the XML names, in words.
    var words: String {
        switch self {
        case .file(let path), .block(let path): path
        case .volume(let pool, let name): "\(pool)/\(name)"
        case .network(let name): "network (\(name))"
        case .none: ""
        case .other(let type): type
        }
    }
}
