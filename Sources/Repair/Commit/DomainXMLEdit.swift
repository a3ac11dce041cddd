import HostTools
import LibXML

/// Points a domain's disks at overlays and back. Pure: XML in, XML out.
enum DomainXMLEdit {
    /// A disk and the overlay that takes its place.
    struct Substitution: Hashable, Sendable, Codable {
        var target: String
        /// The disk's path, as the XML names it or a storage pool resolves it.
        var disk: String
        var overlay: String
        /// The disk's image and the layers below, with their formats.
        var chain: [ImageInfo]
    }

    /// Puts the overlays in the disks' places. Everything that makes a disk what it is otherwise stays.
    ///
    /// The chain below the overlay is spelt out: with an empty `<backingStore/>` the guest would see holes, and with the
    /// disk's own type raw it would see the overlay's file.
    ///
    /// - Throws: `XMLError`; ``DomainProblem`` where a disk is gone.
    static func pointAtOverlays(_ xml: String, _ substitutions: [Substitution]) throws -> String {
        var document = try Document(xml)
        for substitution in substitutions {
            let count = try document.edit(disk, ["dev": substitution.target]) { disk throws(XMLError) in
                try disk.setAttribute("type", to: "file")
                try disk.editChild("source") { source throws(XMLError) in
                    for name in ["dev", "pool", "volume", "mode", "index"] { source.removeAttribute(name) }
                    try source.setAttribute("file", to: substitution.overlay)
                }
                try disk.editChild("driver") { driver throws(XMLError) in
                    try driver.setAttribute("type", to: "qcow2")
                }
                try disk.replaceChildren("backingStore", with: [backingStore(substitution.chain[...])])
            }
            guard count == 1 else { throw DomainProblem("\(substitution.target): is no longer in the domain's XML") }
        }
        return try document.serialized()
    }

    /// Puts the disks back in the places of our overlays. Only disks whose source is our overlay *now* change: somebody may
    /// have edited the rest meanwhile.
    ///
    /// - Parameters:
    ///   - original: the XML from before ``pointAtOverlays(_:_:)``, which the disks' own words are taken from.
    ///   - which: the disks that are ours to change.
    static func pointBack(
        _ xml: String, to original: String, _ substitutions: [Substitution], _ which: PointedBack = .byUs
    ) throws -> String {
        let before = try Document(original)
        var document = try Document(xml)
        for substitution in substitutions {
            let words = try before.map(disk, ["dev": substitution.target]) { node throws(XMLError) in
                try node.element()
            }
            guard let words = words.first else { continue }
            let names = [
                "dev": substitution.target, "overlay": substitution.overlay, "disk": substitution.disk,
            ]
            try document.edit("/domain/devices/disk[\(which.condition)]", names) { disk throws(XMLError) in
                if let type = words.attribute("type") {
                    try disk.setAttribute("type", to: type)
                } else {
                    disk.removeAttribute("type")
                }
                for name in ["source", "driver", "backingStore"] {
                    try disk.replaceChildren(name, with: words.children.filter { $0.name == name })
                }
            }
        }
        return try document.serialized()
    }

    /// Who pointed a disk back.
    enum PointedBack {
        /// Nobody yet: it names our overlay.
        case byUs
        /// libvirt may have, when the running guest went on to the disk: it names the disk, in words of its own.
        case byPivot

        fileprivate var condition: String {
            switch self {
            // Whatever target somebody gave it meanwhile.
            case .byUs: "source/@file=$overlay"
            case .byPivot:
                "source/@file=$overlay or target/@dev=$dev and (source/@file=$disk or source/@dev=$disk)"
            }
        }
    }

    private static let disk = "/domain/devices/disk[target/@dev=$dev]"

    /// `<backingStore>` for a chain and everything below it; an empty one ends it.
    private static func backingStore(_ chain: ArraySlice<ImageInfo>) -> XMLElement {
        guard let image = chain.first else { return XMLElement("backingStore") }
        let isDevice = (try? FileStatus(of: image.path))?.kind == .blockDevice
        return XMLElement(
            "backingStore", ["type": isDevice ? "block" : "file"],
            children: [
                XMLElement("format", ["type": image.format]),
                XMLElement("source", [isDevice ? "dev" : "file": image.path]),
                backingStore(chain.dropFirst()),
            ])
    }
}
