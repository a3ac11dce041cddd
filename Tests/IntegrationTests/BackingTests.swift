import Foundation
import Glibc
import TestSupport
import Testing

/// libvirt takes the layers below an image from the domain's XML where that names any, and not from the image's header: what is
/// checked is what the guest has.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct BackingTests {
    /// What the XML says below `<disk>`.
    enum Form: String, CaseIterable, Sendable {
        case headerOnly, otherFile, otherFormat, deeper, endless, nothing

        /// Whether the guest sees the damaged filesystem.
        var showsDamage: Bool { self != .headerOnly && self != .nothing && self != .otherFormat }
    }

    @Test(arguments: Form.allCases)
    func `the guest's own view is checked, and QEMU has the same layers`(_ form: Form) async throws {
        try await Workshop.with { shop in
            // The header says that all is well below; the XML may not.
            let good = "\(shop.disks)/good.img"
            let bad = "\(shop.disks)/bad.img"
            let top = "\(shop.disks)/top.qcow2"
            let middle = "\(shop.disks)/middle.qcow2"
            for path in [good, bad] { try await Filesystem.ext4.make(at: path) }
            try await Filesystem.ext4.damage(bad)
            let create = ["create", "-q", "-f", "qcow2", "-F", "raw"]
            try await Tool.output(of: "qemu-img", create + ["-b", good, top])
            try await Tool.output(of: "qemu-img", create + ["-b", bad, middle])
            func layer(_ path: String, _ format: String, _ inner: String) -> String {
                "<backingStore type='file'><format type='\(format)'/><source file='\(path)'/>\(inner)</backingStore>"
            }
            let end = "<backingStore/>"
            let (words, chain) =
                switch form {
                case .headerOnly: ("", [top, good])
                case .otherFile: (layer(bad, "raw", end), [top, bad])
                case .otherFormat: (layer(middle, "raw", end), [top, middle])
                case .deeper: (layer(middle, "qcow2", layer(bad, "raw", end)), [top, middle, bad])
                // Below the last layer that it names, the headers tell again.
                case .endless: (layer(middle, "qcow2", ""), [top, middle, bad])
                case .nothing: (end, [top])
                }
            try await shop.define([Workshop.disk(top, format: "qcow2", body: words)])
            try #expect(await qemuFiles(shop) == Set(chain))

            let before = try await shop.snapshot()
            let check = try await shop.virtFsck("check")
            switch form {
            case .headerOnly: #expect(check.volume("vda")?.outcome == "clean", "\(check)")
            case .nothing: #expect(check.volume("vda")?.outcome == "skipped", "\(check)")
            case .otherFormat: #expect(check.volume("vda")?.outcome == "not-checked", "\(check)")
            case .otherFile, .deeper, .endless: #expect(check.volume("vda")?.outcome == "repairable", "\(check)")
            }
            try #expect(await shop.snapshot() == before)
            let repair = try await shop.virtFsck("repair", "--no-start")
            #expect(repair.exitStatus == (form == .headerOnly ? 0 : form.showsDamage ? 1 : 4), "\(repair)")
            let after = try await shop.snapshot()
            #expect(after["xml"] == before["xml"])
            for (file, state) in before where file != "top.qcow2" || !form.showsDamage { #expect(after[file] == state) }
            if form.showsDamage {
                try #expect(await qemuFiles(shop) == Set(chain))
                #expect(try await shop.virtFsck("check").volume("vda")?.outcome == "clean")
            }
        }
    }

    @Test(arguments: ["slice", "network", "raw top", "FIFO", "relative"])
    func `layers that the XML names and that can't be repaired through are refused`(kind: String) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            let base = "\(shop.disks)/base.img"
            try await Filesystem.ext4.make(at: base)
            func layer(_ source: String, type: String = "file") -> String {
                "<backingStore type='\(type)'><format type='raw'/>\(source)<backingStore/></backingStore>"
            }
            let (words, reason) =
                switch kind {
                case "slice":
                    (
                        layer(
                            "<source file='\(base)'><slices><slice type='storage' offset='0' size='1048576'/></slices></source>"
                        ),
                        "slice"
                    )
                case "network":
                    (
                        layer("<source protocol='nbd' name='x'><host name='localhost'/></source>", type: "network"),
                        "type 'network'"
                    )
                case "raw top": (layer("<source file='\(base)'/>"), "a raw image has no backing file")
                case "FIFO":
                    (layer("<source file='\(shop.folder)/fifo'/>"), "neither a file nor a block device")
                default: (layer("<source file='base.img'/>"), "is no absolute path")
                }
            mkfifo("\(shop.folder)/fifo", 0o666)
            try await shop.redefine([
                Workshop.disk(
                    kind == "raw top" ? base : made.image, format: kind == "raw top" ? "raw" : "qcow2", body: words)
            ])
            try await expectRefusal("vda", reason, in: shop)
        }
    }

    /// The files that QEMU opens when the domain is started.
    private func qemuFiles(_ shop: Workshop) async throws -> Set<String> {
        try await PrivateLibvirt.shared.virsh("start", shop.name, "--paused")
        let answer = try await PrivateLibvirt.shared.virsh(
            "qemu-monitor-command", shop.name, #"{"execute":"query-named-block-nodes"}"#)
        try await PrivateLibvirt.shared.virsh("destroy", shop.name)
        let json = try JSONSerialization.jsonObject(with: Data(answer.utf8)) as? [String: Any]
        let nodes = json?["return"] as? [[String: Any]] ?? []
        return Set(nodes.filter { $0["drv"] as? String == "file" }.compactMap { $0["file"] as? String })
    }
}
