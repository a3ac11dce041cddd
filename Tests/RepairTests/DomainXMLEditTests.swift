import HostTools
import LibXML
import Testing

@testable import Repair

struct DomainXMLEditTests {
    private let overlay = "/images/web.qcow2.virt-fsck-0123456789ab-vda.qcow2"

    private func domain(_ disk: String) -> String {
        """
        <domain type="kvm" id="3" xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
          <name>web &amp; co</name>
          <metadata><app:x xmlns:app="http://example.org/app" app:a="1">text</app:x></metadata>
          <devices>
            <disk type="file" device="cdrom">
              <source file="/images/web.qcow2"/>
              <target dev="sda" bus="sata"/>
            </disk>
        \(disk)
            <graphics type="vnc" passwd="secret"/>
          </devices>
          <qemu:commandline><qemu:arg value="-S"/></qemu:commandline>
        </domain>
        """
    }

    private func substitution(_ chain: ImageInfo...) -> DomainXMLEdit.Substitution {
        DomainXMLEdit.Substitution(
            target: "vda", disk: "/images/web.qcow2", overlay: overlay,
            chain: chain.isEmpty ? [Sample.image()] : chain)
    }

    /// The XML as libxml2 writes it.
    private func written(_ xml: String) throws -> String { try Document(xml).serialized() }

    private static let disks = [
        // libvirt's usual order and indentation.
        """
            <disk type="file" device="disk">
              <driver name="qemu" type="qcow2" cache="none" discard="unmap"/>
              <source file="/images/web.qcow2"/>
              <target dev="vda" bus="virtio"/>
              <serial>WD-1234</serial>
              <alias name="ua-root"/>
              <boot order="1"/>
            </disk>
        """,
        """
            <disk type="file">
              <source file="/images/web.qcow2"/>
              <target dev="vda"/>
            </disk>
        """,
        // No type: file is the default.
        """
            <disk><driver name="qemu" type="raw"/><source file="/images/web.qcow2"/><target dev="vda"/></disk>
        """,
        """
            <disk type="file" device="disk">
              <driver name="qemu" type="qcow2"/>
              <source file="/images/web.qcow2" startupPolicy="optional" index="2"/>
              <backingStore type="file" index="3">
                <format type="raw"/>
                <source file="/images/base.raw"/>
                <backingStore/>
              </backingStore>
              <target dev="vda" bus="virtio"/>
            </disk>
        """,
        """
            <disk type="block" device="disk">
              <driver name="qemu" type="raw" io="native"/>
              <source dev="/dev/vg/web"/>
              <backingStore/>
              <target dev="vda" bus="scsi"/>
              <address type="drive" controller="0" bus="0" target="0" unit="0"/>
            </disk>
        """,
        """
            <disk type="volume" device="disk">
              <driver name="qemu" type="qcow2"/>
              <source pool="default" volume="web.qcow2" mode="host"/>
              <target dev="vda" bus="virtio"/>
            </disk>
        """,
        """
            <disk type="file" device="disk">
              <driver name="qemu" type="qcow2"/>
              <source file="/images/web.qcow2"><seclabel model="dac" relabel="no"/></source>
              <target dev="vda" bus="virtio"/>
            </disk>
        """,
    ]

    @Test(arguments: disks) func `pointed at the overlay and back, the XML is byte for byte what it was`(disk: String)
        throws
    {
        let original = try written(domain(disk))
        let there = try DomainXMLEdit.pointAtOverlays(original, [substitution()])
        #expect(there != original)
        let back = try DomainXMLEdit.pointBack(there, to: original, [substitution()])
        // White space inside the elements that were put back is libvirt's to choose.
        func dense(_ xml: String) -> String { xml.replacing(/>\s+</, with: "><") }
        #expect(dense(back) == dense(original))
        if !disk.contains("</backingStore>") { #expect(back == original) }
    }

    @Test(arguments: disks) func `the overlay takes the disk's place with the whole chain below it`(disk: String) throws
    {
        let chain = [
            Sample.image("/images/web.qcow2", backing: "/images/base.raw"),
            Sample.image("/images/base.raw", format: "raw"),
        ]
        let there = try DomainXMLEdit.pointAtOverlays(
            domain(disk),
            [DomainXMLEdit.Substitution(target: "vda", disk: "/images/web.qcow2", overlay: overlay, chain: chain)])
        let document = try Document(there)
        let vda = "/domain/devices/disk[target/@dev='vda']"
        func value(_ path: String) throws -> String { try document.value(of: "string(\(vda)\(path))") }
        #expect(try value("/@type") == "file")
        #expect(try value("/source/@file") == overlay)
        #expect(try document.values(of: "\(vda)/source/@*[name()='dev' or name()='pool' or name()='volume']") == [])
        #expect(try value("/driver/@type") == "qcow2")
        #expect(try value("/backingStore/@type") == "file")
        #expect(try value("/backingStore/format/@type") == "qcow2")
        #expect(try value("/backingStore/source/@file") == "/images/web.qcow2")
        #expect(try value("/backingStore/backingStore/format/@type") == "raw")
        #expect(try value("/backingStore/backingStore/source/@file") == "/images/base.raw")
        // The end of the chain is said: nothing is probed.
        #expect(try document.matches("\(vda)/backingStore/backingStore/backingStore[not(*) and not(@*)]"))
        #expect(try document.value(of: "count(\(vda)/backingStore)") == "1")
        #expect(try document.value(of: "count(\(vda)/source)") == "1")
        // The cdrom over the same file stays.
        #expect(
            try document.value(of: "string(/domain/devices/disk[target/@dev='sda']/source/@file)")
                == "/images/web.qcow2")
    }

    @Test func `what makes a disk what it is otherwise stays`() throws {
        let there = try DomainXMLEdit.pointAtOverlays(domain(Self.disks[0]), [substitution()])
        for words in [
            #"cache="none" discard="unmap""#, "<serial>WD-1234</serial>", #"<alias name="ua-root"/>"#,
            #"<boot order="1"/>"#, #"passwd="secret""#, #"<qemu:arg value="-S"/>"#,
        ] { #expect(there.contains(words)) }
    }

    @Test func `somebody else's edits in between survive`() throws {
        let original = try written(domain(Self.disks[0]))
        let there = try DomainXMLEdit.pointAtOverlays(original, [substitution()])
        let edited = there.replacing("secret", with: "changed").replacing(
            "/images/web.qcow2\"/>\n      <target dev=\"sda\"", with: "/other.iso\"/>\n      <target dev=\"sda\"")
        #expect(edited != there)
        let back = try DomainXMLEdit.pointBack(edited, to: original, [substitution()])
        #expect(back.contains(#"passwd="changed""#))
        #expect(back.contains("/other.iso"))
        #expect(!back.contains(overlay))
    }

    @Test func `a disk that no longer names our overlay is not touched`() throws {
        let original = try written(domain(Self.disks[0]))
        let there = try DomainXMLEdit.pointAtOverlays(original, [substitution()])
        let elsewhere = there.replacing(overlay, with: "/images/restored.qcow2")
        #expect(try DomainXMLEdit.pointBack(elsewhere, to: original, [substitution()]) == elsewhere)
    }

    @Test func `a disk that is gone can't be pointed anywhere`() throws {
        var wrong = substitution()
        wrong.target = "vdz"
        let error = #expect(throws: DomainProblem.self) {
            try DomainXMLEdit.pointAtOverlays(domain(Self.disks[0]), [wrong])
        }
        #expect(error?.description == "vdz: is no longer in the domain's XML")
    }

    @Test func `all disks are pointed in one go`() throws {
        let second = #"<disk type="block"><source dev="/dev/vg/data"/><target dev="vdb"/></disk>"#
        let original = try written(domain(Self.disks[0] + second))
        let both = [
            substitution(),
            DomainXMLEdit.Substitution(
                target: "vdb", disk: "/dev/vg/data", overlay: "/o/data",
                chain: [Sample.image("/dev/vg/data", format: "raw")]),
        ]
        let there = try DomainXMLEdit.pointAtOverlays(original, both)
        #expect(there.contains(overlay) && there.contains(#"file="/o/data""#))
        #expect(try DomainXMLEdit.pointBack(there, to: original, both) == original)
        // Only one of them back: the other stays on its overlay.
        let one = try DomainXMLEdit.pointBack(there, to: original, [both[1]])
        #expect(one.contains(overlay) && !one.contains("/o/data"))
    }

    @Test func `names with quotes and angle brackets are text`() throws {
        let disk = #"<disk type="file"><source file="/a&quot;&lt;b.raw"/><target dev="vda"/></disk>"#
        let original = try written(domain(disk))
        let odd = DomainXMLEdit.Substitution(
            target: "vda", disk: "/a\"<b.raw", overlay: "/a\"<b'.qcow2",
            chain: [Sample.image("/a\"<b.raw", format: "raw")])
        let there = try DomainXMLEdit.pointAtOverlays(original, [odd])
        #expect(try Document(there).value(of: "string(//backingStore/source/@file)") == "/a\"<b.raw")
        #expect(try DomainXMLEdit.pointBack(there, to: original, [odd]) == original)
    }
}
