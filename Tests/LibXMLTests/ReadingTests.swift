import LibXML
import Testing

private let domain = """
    <domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
      <name>web</name>
      <devices>
        <disk type='file' device='disk'>
          <driver name='qemu' type='raw'/>
          <source file='/images/web.raw'/>
          <target dev='vda' bus='virtio'/>
          <shareable/>
        </disk>
        <disk type='block' device='disk'>
          <source dev='/dev/data'><seclabel model='dac' relabel='no'/></source>
          <target dev='vdb' bus='virtio'/>
        </disk>
      </devices>
      <qemu:commandline><qemu:arg value='-S'/><name>not this one</name></qemu:commandline>
    </domain>
    """

struct ReadingTests {
    @Test func `an expression gives the text of the first node`() throws {
        let document = try Document(domain)
        #expect(try document.value(of: "string(/domain/name)") == "web")
        #expect(try document.value(of: "//target/@dev") == "vda")
        #expect(try document.value(of: "count(//disk)") == "2")
        #expect(try document.value(of: "string(/domain/uuid)") == "")
    }

    @Test func `an expression gives the text of every node in document order`() throws {
        let document = try Document(domain)
        #expect(try document.values(of: "//target/@dev | //disk/@type") == ["file", "vda", "block", "vdb"])
        #expect(try document.values(of: "string(/domain/name)") == [])
    }

    @Test func `a node set is true when it is not empty`() throws {
        let document = try Document(domain)
        #expect(try document.matches("//disk[shareable]"))
        #expect(try !document.matches("//disk[transient]"))
    }

    @Test func `a prefix of the root element may be used`() throws {
        #expect(try Document(domain).value(of: "string(//qemu:arg/@value)") == "-S")
    }

    @Test func `a variable can not end a string literal`() throws {
        let document = try Document("<a><b n=\"x' or '1'='1\"/><b n='y'/></a>")
        #expect(try document.values(of: "/a/b[@n=$n]/@n", ["n": "x' or '1'='1"]) == ["x' or '1'='1"])
        #expect(try document.value(of: "count(/a/b[@n=$n])", ["n": "' or '1'='1"]) == "0")
    }

    @Test func `an expression that is not valid is an error`() throws {
        let document = try Document(domain)
        #expect(throws: XMLError.self) { try document.value(of: "/domain[") }
        #expect(throws: XMLError.self) { try document.value(of: "nofunction()") }
        #expect(throws: XMLError.self) { try document.value(of: "/domain[@id=$unset]") }
        #expect(throws: XMLError.self) { try document.value(of: "//undeclared:arg") }
        let error = #expect(throws: XMLError.self) { try document.value(of: "/domain[") }
        #expect(error?.message.contains("'/domain['") == true)
    }

    @Test func `nodes are lent in document order`() throws {
        struct Disk: Equatable {
            let type: String?
            let source: String?
            let line: Int
        }
        let disks = try Document(domain).map("/domain/devices/disk") { disk throws(XMLError) in
            Disk(
                type: disk.attribute("type"),
                source: disk.first("source")?.attribute("file") ?? disk.first("source")?.attribute("dev"),
                line: disk.line)
        }
        #expect(
            disks == [
                Disk(type: "file", source: "/images/web.raw", line: 4),
                Disk(type: "block", source: "/dev/data", line: 10),
            ])
    }

    @Test func `children have the name and no namespace`() throws {
        let document = try Document(
            "<a xmlns:q='urn:q'><b>1</b><q:b>2</q:b><c>3<b>4</b></c><b>5</b></a>")
        var texts: [String] = []
        try document.forEach("/a") { node throws(XMLError) in
            texts = node.children("b") { $0.text }
            #expect(node.first("missing")?.text == nil)
            #expect(node.first("c")?.text == "34")
            #expect(node.attribute("missing") == nil)
        }
        #expect(texts == ["1", "5"])
    }

    @Test func `an expression starts from the node`() throws {
        let sources = try Document(domain).map("//disk") { disk throws(XMLError) in
            try disk.value(of: "string(source/@*)") + (disk.matches("shareable") ? " shared" : "")
        }
        #expect(sources == ["/images/web.raw shared", "/dev/data"])
    }

    @Test func `an element becomes a value`() throws {
        let sources = try Document(domain).map("//disk[2]/source") { source throws(XMLError) in
            try source.element()
        }
        #expect(
            sources == [
                XMLElement(
                    "source", ["dev": "/dev/data"],
                    children: [XMLElement("seclabel", ["model": "dac", "relabel": "no"])])
            ])
    }

    @Test(arguments: [
        "<a xmlns='urn:q'/>", "<a xmlns:q='urn:q'/>", "<a><q:b xmlns:q='urn:q'/></a>", "<a><b/>text</a>",
    ]) func `what a value can not hold is an error with its line`(xml: String) throws {
        let document = try Document(xml)
        let error = #expect(throws: XMLError.self) {
            try document.forEach("/*") { node throws(XMLError) in _ = try node.element() }
        }
        #expect(error?.line == 1)
    }

    @Test func `a node that was kept outlives its document`() throws {
        func kept() throws -> String? {
            let held: Box
            do {
                var document = try Document("<a><b><c n='1'/></b></a>")
                held = Box()
                try document.forEach("/a/b") { node throws(XMLError) in held.node = node.first("c") }
                try document.remove("/a/b")
            }
            return held.node?.attribute("n")
        }
        #expect(try kept() == "1")
    }
}

/// A place outside the closure.
private final class Box {
    var node: Node?
}
