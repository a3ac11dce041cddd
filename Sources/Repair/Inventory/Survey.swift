import HostTools
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
        let inState = FailureEvidence.inState(of: summary)
        let proof = summary.state == .running ? description.flatMap { self.onConsole(of: summary, $0) } : nil
        let words = proof.map { "it runs, and its console says: \($0.words)" }
        // A guest that works on, if only in part, is nobody's to power off.
        let (onConsole, damage) = proof?.name == BootEvidence.damage ? (nil, words) : (words, nil)
        let isSilent = summary.state == .running && description?.hasSilentAgent == true
        return DomainListing(
            summary: summary, evidence: inState ?? onConsole, isDeadGuest: onConsole != nil,
            hint: isSilent ? "it runs, and its guest agent is silent" : damage,
            disks: description?.disks.filter { $0.device == .disk || $0.device == .lun }.map { disk in
                DomainListing.Disk(target: disk.target, source: disk.source.words, format: disk.format)
            } ?? [])
    }

    /// What the log of a console shows of a guest that is dead although its domain runs. The console itself is not opened: that
    /// would take it from whoever uses it.
    private func onConsole(of summary: DomainSummary, _ description: DomainDescription) -> BootEvidence.Proof? {
        // Where libvirtd is the host's own, its domains' processes are known by their files.
        let started = Files.line(of: "/run/libvirt/qemu/\(summary.id.name).pid").flatMap(Int32.init)
            .flatMap(HostProcess.init)?.startedAt
        for path in Set(description.consoleLogs).sorted() {
            guard let log = try? ConsoleLog(path), log.modified >= started ?? 0 else { continue }
            var reading = ConsoleReading()
            reading.read(log.bytes)
            switch reading.verdict {
            case .failed(let proof), .dead(let proof):
                return proof
            case .booted, .nothing: continue
            }
        }
        return nil
    }
}

extension BootEvidence.Proof {
    /// For the report.
    var words: String { "\(name): \(line)\(hint.map { " (\($0))" } ?? "")" }
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
