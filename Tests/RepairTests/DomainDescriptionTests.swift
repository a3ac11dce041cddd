import LibXML
import Testing

@testable import Repair

struct DomainDescriptionTests {
    private func disk(_ xml: String) throws -> Disk {
        let description = try DomainDescription(xml: "<domain type='kvm'><devices>\(xml)</devices></domain>")
        return try #require(description.disks.first)
    }

    @Test func `a plain disk is a raw file that may be written`() throws {
        #expect(
            try disk("<disk type='file'><source file='/a.img'/><target dev='vda'/></disk>")
                == Disk(
                    target: "vda", device: .disk, source: .file("/a.img"), format: "raw", isReadOnly: false,
                    isShareable: false, isTransient: false, isEncrypted: false, isSlice: false, sectorSize: 512))
    }

    @Test(arguments: [
        ("<disk type='file'><source file='/a b&amp;c'/><target dev='vda'/></disk>", Disk.Source.file("/a b&c")),
        ("<disk><source file='/a'/><target dev='vda'/></disk>", .file("/a")),
        ("<disk type='block'><source dev='/dev/vg/lv'/><target dev='vda'/></disk>", .block("/dev/vg/lv")),
        ("<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>", .volume(pool: "p", name: "v")),
        (
            "<disk type='network'><source protocol='rbd' name='a/b'/><target dev='vda'/></disk>",
            .network(protocol: "rbd")
        ),
        ("<disk type='dir'><source dir='/a'/><target dev='vda'/></disk>", .other("dir")),
        ("<disk type='nvme'><source type='pci'/><target dev='vda'/></disk>", .other("nvme")),
        ("<disk type='vhostuser'><source type='unix' path='/s'/><target dev='vda'/></disk>", .other("vhostuser")),
        ("<disk type='vhostvdpa'><source dev='/dev/vhost-vdpa-0'/><target dev='vda'/></disk>", .other("vhostvdpa")),
        ("<disk type='file'><target dev='vda'/></disk>", .none),
        ("<disk type='file'><source/><target dev='vda'/></disk>", .none),
        ("<disk type='block'><source/><target dev='vda'/></disk>", .none),
        // The other type's attribute is nothing to a disk.
        ("<disk type='block'><source file='/a'/><target dev='vda'/></disk>", .none),
    ]) func `a disk's content is where its type says`(xml: String, source: Disk.Source) throws {
        #expect(try disk(xml).source == source)
    }

    @Test(arguments: [
        ("disk", Disk.Device.disk), ("cdrom", .cdrom), ("floppy", .floppy), ("lun", .lun), ("tape", .other("tape")),
    ]) func `a device is of its kind`(word: String, device: Disk.Device) throws {
        #expect(try disk("<disk device='\(word)'><target dev='sda'/></disk>").device == device)
    }

    @Test(arguments: [
        ("", "raw"), ("<driver name='qemu'/>", "raw"), ("<driver type='qcow2'/>", "qcow2"),
        ("<driver type='vmdk'/>", "vmdk"),
    ]) func `a format is the driver's, and raw where it has none`(driver: String, format: String) throws {
        #expect(try disk("<disk>\(driver)<target dev='vda'/></disk>").format == format)
    }

    @Test func `readonly, shareable, transient, encrypted and sliced disks are seen as such`() throws {
        func flags(_ element: String) throws -> [Bool] {
            let disk = try disk("<disk>\(element)<target dev='vda'/></disk>")
            return [disk.isReadOnly, disk.isShareable, disk.isTransient, disk.isEncrypted, disk.isSlice]
        }
        #expect(try flags("") == [false, false, false, false, false])
        #expect(try flags("<readonly/>") == [true, false, false, false, false])
        #expect(try flags("<shareable/>") == [false, true, false, false, false])
        #expect(try flags("<transient/>") == [false, false, true, false, false])
        #expect(try flags("<encryption format='luks'/>") == [false, false, false, true, false])
        #expect(
            try flags("<source file='/a'><encryption format='luks'/></source>") == [false, false, false, true, false])
        #expect(
            try flags("<source file='/a'><slices><slice type='storage' offset='1' size='2'/></slices></source>")
                == [false, false, false, false, true])
        // Those of a layer below are not the disk's own.
        #expect(
            try flags("<backingStore><readonly/><source file='/b'/></backingStore>")
                == [false, false, false, false, false])
    }

    @Test(arguments: [
        ("<blockio logical_block_size='4096'/>", 4096), ("<blockio logical_block_size='512'/>", 512),
        ("<blockio physical_block_size='4096'/>", 512), ("<blockio logical_block_size='garbage'/>", 0), ("", 512),
    ]) func `a sector is as large as the guest sees it`(element: String, size: Int) throws {
        #expect(try disk("<disk>\(element)<target dev='vda'/></disk>").sectorSize == size)
    }

    @Test func `disks stay in the XML's order, also those that are odd`() throws {
        let description = try DomainDescription(
            xml: """
                <domain type='kvm'><devices>
                  <disk><source file='/b'/><target dev='vdb'/></disk>
                  <disk device='cdrom'><target dev='sda'/></disk>
                  <disk><source file='/a'/><target dev='vda'/></disk>
                  <disk><source file='/twice'/><target dev='vda'/></disk>
                  <disk><source file='/nowhere'/></disk>
                </devices></domain>
                """)
        #expect(description.type == "kvm")
        #expect(description.disks.map(\.target) == ["vdb", "sda", "vda", "vda", ""])
    }

    @Test(
        arguments: [
            ("<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'/>", "OpenStack Nova"),
            ("<ovirt-vm:vm xmlns:ovirt-vm='http://ovirt.org/vm/1.0'/>", "oVirt"),
            ("<kubevirt xmlns='http://kubevirt.io'/>", "KubeVirt"),
            (
                "<libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'/>"
                    + "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'/>", "OpenStack Nova"
            ),
            ("<libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'/>", nil), ("", nil),
        ] as [(String, String?)]) func `who manages a domain is known by its metadata`(
            metadata: String, manager: String?
        ) throws
    {
        let xml = "<domain type='kvm'><metadata>\(metadata)</metadata></domain>"
        #expect(try DomainDescription(xml: xml).manager == manager)
    }

    @Test func `what is no XML is an error`() {
        #expect(throws: XMLError.self) { try DomainDescription(xml: "<domain>") }
    }
}
