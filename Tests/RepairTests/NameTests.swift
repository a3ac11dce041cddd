import Testing

@testable import Repair

struct NameTests {
    @Test(arguments: [
        ("web-1_a.b", "web-1_a.b"), ("", "_"), (".", "_."), ("..", "_.."), (".hidden", "_.hidden"), ("a/b", "a_b"),
        ("../../etc/passwd", "_.._.._etc_passwd".replacing("_.._.._", with: "_.._.._")), ("a b\nc", "a_b_c"),
        ("ü文", "__"),
        ("½²", "__"), ("a\u{0}b", "a_b"), ("$(x)", "__x_"),
    ]) func `a name that somebody else chose becomes a file's name`(name: String, safe: String) {
        #expect(FileName.safe(name) == safe)
    }

    @Test func `a long name is cut, and fits into a folder`() {
        #expect(FileName.safe(String(repeating: "x", count: 500)) == String(repeating: "x", count: 100))
        #expect(FileName.safe("." + String(repeating: "x", count: 500)).utf8.count <= 101)
    }

    @Test func `names that become the same are told apart, in their order`() {
        #expect(FileName.distinct(["a/b_c", "a_b/c", "x", "a b c"]) == ["a_b_c", "a_b_c-2", "x", "a_b_c-3"])
        #expect(FileName.distinct(["a/b", "a_b-2", "a_b"]) == ["a_b", "a_b-2", "a_b-3"])
        #expect(FileName.distinct(["run", "vda"], besides: ["run"]) == ["run-2", "vda"])
        let long = String(repeating: "x", count: 100)
        #expect(FileName.distinct([long + "1", long + "2"]) == [long, long + "-2"])
    }

    @Test func `an overlay is named after its disk, its run and its target`() {
        let name = OverlayName.make(disk: "/images/web.qcow2", target: "vda", run: "0123456789ab")
        #expect(name == "web.qcow2.virt-fsck-0123456789ab-vda.qcow2")
        #expect(OverlayName.isOurs("/images/\(name)"))
        #expect(OverlayName.disk(ofOverlay: "/images/\(name)") == "web.qcow2")
        let again = OverlayName.make(disk: name, target: "vda", run: "0123456789ab")
        #expect(OverlayName.disk(ofOverlay: "/images/\(again)") == name)
        #expect(OverlayName.disk(ofOverlay: "/images/web.qcow2") == nil)
    }

    @Test(arguments: ["x", "ä"]) func `an overlay's name is no longer than a name can be`(letter: String) {
        let disk = String(repeating: letter, count: 255 / letter.utf8.count)
        let name = OverlayName.make(disk: "/images/\(disk)", target: "vda", run: "0123456789ab")
        #expect((254...255).contains(name.utf8.count) && OverlayName.isOurs("/images/\(name)"))
        #expect(OverlayName.disk(ofOverlay: "/images/\(name)").map(disk.hasPrefix) == true)
    }

    @Test func `disks of one name in two folders have overlays of two names`() {
        #expect(
            OverlayName.make(disk: "/dev/vg1/root", target: "vda", run: "r")
                != OverlayName.make(disk: "/dev/vg2/root", target: "vdb", run: "r"))
    }

    @Test(arguments: [
        "/images/web.qcow2", "/images/web.virt-fsck-1", "/backup.virt-fsck-old/web.qcow2", "",
        "/images/virt-fsck-1.qcow2",
    ]) func `another image is not taken for an overlay`(path: String) {
        #expect(!OverlayName.isOurs(path))
    }

    @Test(arguments: [
        "qemu:///system", "qemu:///session", "test:///default", "test:///a/b.xml", "xen:///", "lxc:///",
        "qemu+unix:///system?socket=/run/libvirt/libvirt-sock", "qemu://localhost/system",
        "qemu+tls://localhost:16514/system",
        "qemu+ssh://root@localhost/system", "qemu+tcp://127.0.0.1/system", "qemu+tcp://[::1]:16509/system",
        "qemu+tcp://root@[::1]/system", "qemu:///embed?root=/a://b",
    ]) func `a connection to this machine is fine`(uri: String) {
        #expect(RemoteConnection.problem(uri: uri) == nil)
    }

    @Test(arguments: [
        ("qemu+ssh://kvm1/system", "ssh kvm1 virt-fsck …"),
        ("qemu+ssh://root@kvm1.example.org/system", "ssh root@kvm1.example.org virt-fsck …"),
        ("qemu://kvm1/system", "ssh kvm1 virt-fsck …"),
        ("qemu+ssh://root@kvm1:2222/system", "ssh -p 2222 root@kvm1 virt-fsck …"),
        ("qemu+ssh://[2001:db8::1]/system", "ssh 2001:db8::1 virt-fsck …"),
        ("qemu+ssh://root@[2001:db8::1]:22/system?keyfile=/a", "ssh -p 22 root@2001:db8::1 virt-fsck …"),
        ("qemu+tls://kvm1:16514/system", "ssh kvm1 virt-fsck …"),
        ("xen+ssh://localhost.example.org/", "ssh localhost.example.org virt-fsck …"),
    ]) func `a connection to another machine says how to run there`(uri: String, command: String) {
        #expect(
            RemoteConnection.problem(uri: uri)
                == "\(uri): is another machine, its disks are not here; run virt-fsck there: \(command)")
    }
}
