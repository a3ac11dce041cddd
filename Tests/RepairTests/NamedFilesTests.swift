import Testing

@testable import Repair

struct NamedFilesTests {
    @Test func `everything that a domain names by its path is found, whatever for`() throws {
        let files = try NamedFiles(
            xml: """
                <domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
                  <name>web</name><title>/no/title</title><description>/no/description</description>
                  <metadata><x:y xmlns:x='urn:x' path='/no/metadata'>/no/metadata</x:y></metadata>
                  <os><kernel>/boot/vmlinuz</kernel><initrd>
                    /boot/initrd
                  </initrd><dtb>/boot/dtb</dtb><loader readonly='yes' type='pflash'>/usr/code.fd</loader>
                    <nvram template='/usr/vars.fd' type='file'><source file='/nvram/web.fd'/></nvram></os>
                  <devices><emulator>/usr/bin/qemu</emulator>
                  <disk type='file' device='disk'><driver type='qcow2'/><source file='/top.qcow2'/><target dev='vda'/>
                    <backingStore type='file'><format type='qcow2'/><source file='/middle.qcow2'/>
                      <backingStore type='block'><format type='raw'/><source dev='/dev/base'/><backingStore/></backingStore>
                    </backingStore><mirror type='file' file='/mirror'><source file='/mirror'/></mirror>
                  </disk>
                  <disk type='block'><source dev='/dev/plain'/><target dev='vdb'/></disk>
                  <disk device='lun' type='block'><source dev='/dev/lun'/><target dev='sda'/></disk>
                  <disk type='network'><source protocol='rbd' name='pool/image'/><target dev='vdc'/></disk>
                  <disk device='cdrom' type='file'><source file='/shared.iso'/><target dev='hda'/></disk>
                  <disk device='floppy' type='file'><source file='/floppy.img'/><target dev='fda'/></disk>
                  <disk type='volume'><driver type='qcow2'/><source pool='p' volume='v'/><target dev='vdd'/>
                    <backingStore type='volume'><format type='raw'/><source pool='q' volume='w'/></backingStore></disk>
                  <disk type='nvme'><source type='pci' namespace='1'><address domain='0x0' bus='0x1' slot='0x0' function='0x0'/>
                    </source><target dev='vde'/></disk>
                  <memory model='nvdimm'><source><path>/nvdimm</path></source></memory>
                  <hostdev type='scsi'><source><adapter name='scsi_host2'/><address bus='0' target='3' unit='7'/></source>
                  </hostdev><hostdev mode='subsystem' type='pci' managed='yes'><source>
                    <address domain='0x0000' bus='0x0a' slot='0x1f' function='0x2'/></source></hostdev>
                  <hostdev type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>
                  <interface type='direct'><source dev='eth0'/></interface></devices>
                  <qemu:commandline><qemu:arg value='-readconfig'/><qemu:arg value='/conf'/><qemu:arg value='-drive'/><qemu:arg value='file=/raw.img,if=none'/>
                    <qemu:arg value='/bare.img'/></qemu:commandline>
                </domain>
                """)
        #expect(
            files.paths.isSuperset(of: [
                "/boot/vmlinuz", "/boot/initrd", "/boot/dtb", "/usr/code.fd", "/usr/vars.fd", "/nvram/web.fd",
                "/usr/bin/qemu",
                "/top.qcow2", "/middle.qcow2", "/dev/base", "/mirror", "/dev/plain", "/dev/lun", "/shared.iso",
                "/floppy.img", "/nvdimm", "/raw.img", "/bare.img",
            ]))
        #expect(!files.paths.contains { $0.hasPrefix("/no/") || $0.contains("eth0") || $0.contains("pool/image") })
        #expect(files.hostDevices == ["/2:0:3:7/", "/0000:0a:1f.2/", "/0000:01:00.0/"])
        #expect(
            files.volumes == [
                NamedFiles.Volume(pool: "p", name: "v", role: "vdd", format: "qcow2"),
                NamedFiles.Volume(pool: "q", name: "w", role: "vdd", format: "raw"),
            ])
        #expect(files.readsConfiguration)
        #expect(files.names.contains(NamedFiles.Name(path: "/middle.qcow2", role: "vda", format: "qcow2")))
        #expect(files.names.contains(NamedFiles.Name(path: "/boot/vmlinuz", role: "kernel")))
        #expect(files.names.contains(NamedFiles.Name(path: "/floppy.img", role: "fda", format: "raw")))
    }

    @Test func `a snapshot names its memory, its disks, and what the domain was`() throws {
        let files = try NamedFiles(
            xml: """
                <domainsnapshot><name>s</name><memory snapshot='external' file='/memory'/>
                  <disks><disk name='vda' snapshot='external' type='file'><driver type='qcow2'/><source file='/over'/></disk></disks>
                  <domain><devices><disk type='file'><source file='/before'/><target dev='vda'/></disk></devices></domain>
                  <inactiveDomain><os><kernel>/kernel</kernel></os></inactiveDomain></domainsnapshot>
                """)
        #expect(files.paths == ["/memory", "/over", "/before", "/kernel"])
        // The domain's own disk, by its name.
        #expect(files.names.contains(NamedFiles.Name(path: "/over", role: "vda", format: "qcow2")))
        #expect(files.names.contains(NamedFiles.Name(path: "/before", role: "vda", format: "raw")))
    }

    @Test func `a name without a leading slash is nobody's file`() throws {
        let files = try NamedFiles(
            xml: """
                <domain><devices><disk type='file'><driver type='qcow2'/><source file='rel.img'/><target dev='vda'/>
                  <backingStore type='file'><format type='raw'/><source file='../below.img'/></backingStore></disk>
                </devices></domain>
                """)
        #expect(files.paths == [])
    }

    @Test(
        arguments: [
            ("file=/srv/a.img,format=raw", "/srv/a.img"), ("file=/srv/a,,b.img,format=raw", "/srv/a,b.img"),
            (#"{"driver":"file","filename":"/srv/a,b.img"}"#, "/srv/a,b.img"), ("json:{'filename':'/srv/a'}", "/srv/a"),
            ("fat:rw:/srv/d", "/srv/d"), ("/srv/with space", "/srv/with space"),
            (#"{"driver":"file","filename":"\/srv\u002fa.img"}"#, "/srv/a.img"),
            (#"file=json:{"driver":"raw",,"file":{"driver":"file",,"filename":"\/srv\/a"}}"#, "/srv/a"),
            ("file=srv/a.img,format=raw", "/srv/a.img"), ("srv/a.img", "/srv/a.img"),
        ])
    func `QEMU's own words are searched for paths`(word: String, path: String) {
        #expect(NamedFiles.paths(inside: word).contains(path))
    }
}
