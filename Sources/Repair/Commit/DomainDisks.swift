import HostTools
import Libvirt

/// The disks of a domain's persistent XML: what they name, and giving them something else to name.
struct DomainDisks: Sendable {
    /// What the disks that we substitute name.
    enum Place: Hashable, Sendable {
        /// Our overlays, all of them.
        case overlays
        /// None of our overlays.
        case elsewhere
        /// Some of our overlays.
        case mixed
    }

    let connection: Connection
    let domain: DomainID

    /// What the domain's disks name: in its persistent XML, or with `.live` in what runs now.
    func place(of substitutions: [DomainXMLEdit.Substitution], _ which: XMLOptions = .inactive) async throws -> Place {
        let count = try await overlaid(substitutions, which).count
        return count == 0 ? .elsewhere : count == substitutions.count ? .overlays : .mixed
    }

    /// Those of the substitutions whose overlays the domain's disks name.
    func overlaid(
        _ substitutions: [DomainXMLEdit.Substitution], _ which: XMLOptions
    ) async throws -> [DomainXMLEdit.Substitution] {
        let disks = try DomainDescription(xml: try await connection.xml(of: domain, which)).disks
        return substitutions.filter { wanted in disks.contains { $0.path == wanted.overlay } }
    }

    /// Defines the XML that names the overlays. Where libvirt makes another of it, it gets back what it had.
    func point(_ edited: String, at substitutions: [DomainXMLEdit.Substitution]) async throws {
        let before = try await connection.xml(of: domain, [.inactive, .secure])
        do {
            try await define(edited) { disks in
                substitutions.allSatisfy { wanted in
                    disks.contains { $0.target == wanted.target && $0.path == wanted.overlay && $0.format == "qcow2" }
                }
            }
        } catch let problem as DomainProblem {
            // None of its disks names an overlay as we know it, so pointing back would find nothing to do.
            try await define(before) { _ in true }
            throw problem
        }
    }

    /// Whether the persistent XML names an overlay anywhere, be it below a snapshot that somebody made of it.
    func mention(_ substitutions: [DomainXMLEdit.Substitution]) async throws -> Bool {
        let paths = Set(try NamedFiles(xml: try await connection.xml(of: domain, .inactive)).paths)
        return substitutions.contains { paths.contains($0.overlay) }
    }

    /// Gives the disks that name our overlays now, or that a pivot gave other words, what they were called in `original`.
    func pointBack(
        _ substitutions: [DomainXMLEdit.Substitution], to original: String, _ which: DomainXMLEdit.PointedBack = .byUs
    ) async throws {
        let current = try await connection.xml(of: domain, [.inactive, .secure])
        let overlays = Set(substitutions.map(\.overlay))
        if which == .byUs, try await place(of: substitutions) == .elsewhere { return }
        try await define(try DomainXMLEdit.pointBack(current, to: original, substitutions, which)) { disks in
            !disks.contains { overlays.contains($0.path ?? "") }
        }
    }

    /// Defines an XML, reads it back, and brings it to the disk: libvirt syncs the file, not its folder.
    private func define(_ xml: String, check: ([Disk]) -> Bool) async throws {
        try await connection.define(xml: xml)
        let current = try await connection.xml(of: domain, [.inactive, .secure])
        guard check(try DomainDescription(xml: current).disks) else {
            throw DomainProblem("\(domain.name): libvirt did not keep the disks that it was given")
        }
        for folder in LibvirtConfiguration.folders where Files.exists(folder) {
            try Files.syncFilesystem(of: folder)
        }
    }
}
