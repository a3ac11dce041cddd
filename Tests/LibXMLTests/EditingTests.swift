import LibXML
import Testing

private let oddValues = [
    "", " ", "  two  spaces  ", "a'b", "a\"b", "a'b\"c", "a&b", "a&amp;b", "a<b>c", "]]>", "<!-- -->", "line\nbreak",
    "tab\tstop", "return\r", "return\r\nbreak", "für", "日本語", "😀", "&#10;", "%s", "\u{85}", "\u{2028}", "\u{FFFD}",
]

struct EditingTests {
    @Test func `a disk is pointed at an overlay with an explicit chain`() throws {
        var document = try Document(
            """
            <domain>
              <devices>
                <disk type='block' device='disk'>
                  <driver name='qemu' type='raw' cache='none'/>
                  <source dev='/dev/data' index='1'/>
                  <backingStore/>
                  <target dev='vda' bus='virtio'/>
                </disk>
                <disk type='file' device='disk'>
                  <source file='/images/other.qcow2'/>
                  <target dev='vdb' bus='virtio'/>
                </disk>
              </devices>
            </domain>
            """)
        let chain = XMLElement(
            "backingStore", ["type": "block"],
            children: [
                XMLElement("format", ["type": "raw"]), XMLElement("source", ["dev": "/dev/data"]),
                XMLElement("backingStore"),
            ])
        let count = try document.edit("/domain/devices/disk[target/@dev=$dev]", ["dev": "vda"]) {
            disk throws(XMLError) in
            try disk.setAttribute("type", to: "file")
            try disk.replaceChildren("source", with: [XMLElement("source", ["file": "/images/o'v&er.qcow2"])])
            try disk.editChild("driver") { driver throws(XMLError) in
                try driver.setAttribute("type", to: "qcow2")
            }
            try disk.replaceChildren("backingStore", with: [chain])
        }
        #expect(count == 1)
        let chainText =
            "<backingStore type=\"block\"><format type=\"raw\"/><source dev=\"/dev/data\"/><backingStore/></backingStore>"
        #expect(
            try document.serialized() == """
                <domain>
                  <devices>
                    <disk type="file" device="disk">
                      <driver name="qemu" type="qcow2" cache="none"/>
                      <source file="/images/o'v&amp;er.qcow2"/>
                      \(chainText)
                      <target dev="vda" bus="virtio"/>
                    </disk>
                    <disk type="file" device="disk">
                      <source file="/images/other.qcow2"/>
                      <target dev="vdb" bus="virtio"/>
                    </disk>
                  </devices>
                </domain>

                """)
    }

    @Test(arguments: oddValues) func `an attribute comes back as it was set`(value: String) throws {
        var document = try Document("<a b='old'/>")
        try document.edit("/a") { node throws(XMLError) in
            try node.setAttribute("b", to: value)
            try node.append(XMLElement("c", ["d": value]))
        }
        let again = try Document(try document.serialized())
        // Scalars: two strings are equal in Swift also when their scalars aren't.
        #expect(Array(try again.value(of: "/a/@b").unicodeScalars) == Array(value.unicodeScalars))
        #expect(Array(try again.value(of: "/a/c/@d").unicodeScalars) == Array(value.unicodeScalars))
    }

    @Test(arguments: oddValues) func `a text comes back as it was added`(text: String) throws {
        var document = try Document("<a/>")
        try document.edit("/a") { node throws(XMLError) in
            try node.append(XMLElement("b", text: text))
        }
        let again = try Document(try document.serialized())
        #expect(Array(try again.value(of: "/a/b").unicodeScalars) == Array(text.unicodeScalars))
    }

    @Test(arguments: ["\u{0}", "a\u{0}b", "\u{1}", "\u{1B}[31m", "\u{FFFE}"])
    func `a value that XML can not hold is refused and nothing changes`(value: String) throws {
        var document = try Document("<a b=\"1\"><c/></a>")
        #expect(throws: XMLError.self) {
            try document.edit("/a") { node throws(XMLError) in try node.setAttribute("b", to: value) }
        }
        #expect(throws: XMLError.self) {
            try document.edit("/a") { node throws(XMLError) in
                try node.replaceChildren(
                    "c", with: [XMLElement("c"), XMLElement("d", children: [XMLElement("e", text: value)])])
            }
        }
        #expect(try document.serialized() == "<a b=\"1\"><c/></a>\n")
    }

    @Test(arguments: ["", "a b", "1a", "a:b", "a>", "a\u{0}", "a='1' b"])
    func `a name that is not one is refused`(name: String) throws {
        var document = try Document("<a/>")
        #expect(throws: XMLError.self) {
            try document.edit("/a") { node throws(XMLError) in try node.setAttribute(name, to: "") }
        }
        #expect(throws: XMLError.self) {
            try document.edit("/a") { node throws(XMLError) in try node.append(XMLElement(name)) }
        }
        #expect(try document.serialized() == "<a/>\n")
    }

    @Test func `an attribute is removed, its neighbours stay`() throws {
        var document = try Document("<a x='1' y='2' z='3'/>")
        try document.edit("/a") { node throws(XMLError) in
            node.removeAttribute("y")
            node.removeAttribute("missing")
        }
        #expect(try document.serialized() == "<a x=\"1\" z=\"3\"/>\n")
    }

    @Test func `what an expression finds is removed with what is in it`() throws {
        var document = try Document("<a><b><b/></b><c><b/></c></a>")
        #expect(try document.remove("//b") == 2)
        #expect(try document.serialized() == "<a><c/></a>\n")
        #expect(try document.remove("//b") == 0)
    }

    @Test func `the root element is not removed`() throws {
        var document = try Document("<a/>")
        #expect(throws: XMLError.self) { try document.remove("/a") }
        #expect(try document.serialized() == "<a/>\n")
    }

    @Test func `replacing without a child to replace adds at the end`() throws {
        var document = try Document("<a><b/></a>")
        try document.edit("/a") { node throws(XMLError) in
            try node.replaceChildren("c", with: [XMLElement("c", ["n": "1"]), XMLElement("c", ["n": "2"])])
            try node.editChild("d") { child throws(XMLError) in try child.setAttribute("n", to: "3") }
        }
        #expect(try document.serialized() == "<a><b/><c n=\"1\"/><c n=\"2\"/><d n=\"3\"/></a>\n")
    }

    @Test func `several children are replaced by one where the first was`() throws {
        var document = try Document("<a><b/><c/><b/><d><b/></d></a>")
        try document.edit("/a") { node throws(XMLError) in
            try node.replaceChildren("b", with: [XMLElement("e")])
        }
        #expect(try document.serialized() == "<a><e/><c/><d><b/></d></a>\n")
    }

    @Test func `children with a name are removed, those of another namespace stay`() throws {
        var document = try Document("<a xmlns:q=\"urn:q\"><b/><q:b/><b/></a>")
        var count = 0
        try document.edit("/a") { node throws(XMLError) in count = node.removeChildren("b") }
        #expect(count == 2)
        #expect(try document.serialized() == "<a xmlns:q=\"urn:q\"><q:b/></a>\n")
    }

    @Test func `an element that an earlier edit took out is not lent`() throws {
        var document = try Document("<a><b/><b/></a>")
        let count = try document.edit("/a | /a/b") { node throws(XMLError) in
            if node.node.name == "a" { node.removeChildren("b") }
        }
        #expect(count == 1)
    }

    @Test func `a document that nobody edits is written as it was`() throws {
        let xml = """
            <!-- by hand -->
            <a xmlns:q="urn:q" q:x="1">
              <b>1 &lt; 2 &amp; 3</b><!-- kept --><q:c><![CDATA[<raw>]]></q:c>
            </a>

            """
        #expect(try Document(xml).serialized() == xml)
    }
}
