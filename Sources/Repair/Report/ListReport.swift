import FoundationEssentials
import Libvirt

/// What `virt-fsck list` has to say. Pure: made of values, turned into JSON or text.
public struct ListReport: Sendable {
    /// A row for each domain.
    public var domains: [DomainListing]

    /// Makes a report.
    public init(domains: [DomainListing]) {
        self.domains = domains
    }

    /// The table, as virsh draws its own.
    public var text: String {
        guard !domains.isEmpty else { return "no domain has failed\n" }
        let rows =
            [["Name", "State", "Failed", "Evidence", "Disks"]]
            + domains.map { domain in
                [
                    domain.summary.id.name, domain.stateWords, domain.isFailed ? "yes" : "no",
                    domain.evidence ?? domain.hint.map { "no proof: \($0)" } ?? "-",
                    domain.disks.map { "\($0.target)=\($0.source)" }.joined(separator: " "),
                ].map(\.escapedForTerminal)
            }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            zip(row, widths).map { $0.padded(to: $1) }.joined(separator: "   ")
        }
        lines.insert(String(repeating: "-", count: widths.reduce(0, +) + 3 * (widths.count - 1)), at: 1)
        return lines.map { " " + $0.trimmedAtEnd + "\n" }.joined()
    }

    /// The report as one JSON document, with a newline at its end.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(Document(domains: domains.map(Document.Domain.init))), as: UTF8.self)
            + "\n"
    }

    /// The JSON's shape.
    private struct Document: Encodable {
        struct Domain: Encodable {
            var name: String
            var uuid: String
            var state: String
            var stateReason: String
            var autostart: Bool
            var failed: Bool
            var evidence: String
            var hint: String
            var disks: [DomainListing.Disk]

            init(_ listing: DomainListing) {
                name = listing.summary.id.name
                uuid = listing.summary.id.uuid
                state = listing.summary.state.rawValue
                stateReason = listing.summary.reason.rawValue
                autostart = listing.summary.autostart
                failed = listing.isFailed
                evidence = listing.evidence ?? ""
                hint = listing.hint ?? ""
                disks = listing.disks
            }
        }

        var schemaVersion = Report.schemaVersion
        var domains: [Domain]
    }
}

extension DomainListing {
    fileprivate var stateWords: String { "\(summary.state.rawValue) (\(summary.reason.rawValue))" }
}

extension String {
    fileprivate var trimmedAtEnd: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return text
    }
}
