import HostTools
import Testing

@testable import Repair

extension FuzzTests {
    private static let words = [
        "<disk>", "</disk>", "<source file='/a'/>", "<source dev='/b'/>", "<target dev='vda'/>",
        "<driver type='qcow2'/>",
        "<backingStore>", "<backingStore/>", "<format type='raw'/>", "type='block'", "type='volume'", "device='lun'",
        "<!DOCTYPE d [", "<![CDATA[", "]]>", "<!--", "-->", "<?x ?>", "&lt;", "&#10;", "&#x10FFFF;", "xmlns='urn:x'",
        "/overlay-vda.qcow2", "vda", "<readonly/>", "<encryption/>", "<metadata>", "<devices>",
    ]

    @Test static func `a domain's XML is refused, or pointed at overlays and back to what it named`() throws {
        try Campaign("DomainXML", words: words).run { input in
            let xml = String(decoding: input, as: UTF8.self)
            guard let before = try? DomainDescription(xml: xml) else { return }
            let paths = try NamedFiles(xml: xml).paths.sorted()
            let substitutions = substitutions(for: before.disks)
            // An overlay is new: nobody can have named it before.
            guard !substitutions.contains(where: { paths.contains($0.overlay) }) else { return }
            // Without a way back nothing is pointed. (libxml2 writes a "<" in a namespace's URI as it is, and can't read it.)
            guard let there = try? DomainXMLEdit.pointAtOverlays(xml, substitutions),
                let back = try? DomainXMLEdit.pointBack(there, to: xml, substitutions)
            else { return }
            let pointed = try DomainDescription(xml: there).disks
            try require(pointed.count == before.disks.count, "a disk came or went")
            for (old, new) in zip(before.disks, pointed) {
                if let mine = substitutions.first(where: { $0.target == old.target }) {
                    try require(new.path == mine.overlay && new.format == "qcow2", "\(new) is not \(mine.overlay)")
                } else {
                    try require(new == old, "\(old) became \(new)")
                }
            }
            let after = try DomainDescription(xml: back)
            try require(after == before, "\(before) became \(after)")
            // Sorted: of two sources that lie apart the second is put beside the first; libvirt knows only one.
            try require(try NamedFiles(xml: back).paths.sorted() == paths, "other images are named")
        }
    }

    /// Overlays for the disks that a plan would take.
    private static func substitutions(for disks: [Disk]) -> [DomainXMLEdit.Substitution] {
        disks.compactMap { disk in
            guard disk.device == .disk, let path = disk.path, !path.hasPrefix("/overlay-") else { return nil }
            return DomainXMLEdit.Substitution(
                target: disk.target, disk: path, overlay: "/overlay-\(FileName.safe(disk.target)).qcow2",
                chain: [Sample.image("/nowhere/image"), Sample.image("/nowhere/base")])
        }
    }
}
