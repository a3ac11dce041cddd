import LibXML
import Testing

struct HostileInputTests {
    @Test func `an entity bomb is refused before it expands`() throws {
        var declarations = "<!ENTITY a0 'aaaaaaaaaa'>"
        for level in 1...12 {
            let reference = String(repeating: "&a\(level - 1);", count: 10)
            declarations += "<!ENTITY a\(level) '\(reference)'>"
        }
        let bomb = "<?xml version='1.0'?>\n<!DOCTYPE a [\(declarations)]><a b='&a12;'>&a12;</a>"
        let clock = ContinuousClock()
        let start = clock.now
        let error = #expect(throws: XMLError.self) { _ = try Document(bomb) }
        #expect(error?.message == "a document type declaration is not accepted")
        #expect(error?.line == 2)
        // Expanded, it has 10 TB.
        #expect(start.duration(to: clock.now) < .seconds(60))
    }

    @Test(arguments: [
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:9/x'> %x;]><a/>",
    ]) func `a document type declaration is refused`(xml: String) {
        let error = #expect(throws: XMLError.self) { _ = try Document(xml) }
        #expect(error?.message == "a document type declaration is not accepted")
    }

    @Test func `a comment that looks like a declaration is not one`() throws {
        let xml = "<!-- <!DOCTYPE a> --><a><![CDATA[<!DOCTYPE a>]]></a>"
        #expect(try Document(xml).value(of: "string(/a)") == "<!DOCTYPE a>")
    }

    @Test(arguments: [
        "", " ", "no XML", "<", "<a>", "<a><b></a></b>", "<a/><b/>", "<a b=1/>", "<a b='1' b='2'/>",
        "<a>&undefined;</a>",
        "\u{0}", "<a>\u{1}</a>", "<a>\u{0}</a>", "<q:a/><", "{\"json\": true}",
    ]) func `what is not well-formed is an error with a message`(xml: String) {
        let error = #expect(throws: XMLError.self) { _ = try Document(xml) }
        #expect(error?.message.isEmpty == false)
    }

    @Test func `a document cut anywhere is an error`() {
        let whole = Array("<domain type='kvm'><name>web &amp; mail</name></domain>".utf8)
        for count in 0..<whole.count {
            #expect(throws: XMLError.self, "cut at \(count)") { _ = try Document(bytes: Array(whole[..<count])) }
        }
    }

    @Test func `an error has the line it is on`() {
        let error = #expect(throws: XMLError.self) { _ = try Document("<a>\n<b>\n</c>\n</a>") }
        #expect(error?.line == 3)
        #expect(error?.description.hasPrefix("line 3: Opening and ending tag mismatch") == true)
    }

    @Test func `nesting a hundred thousand deep is an error`() {
        let deep = String(repeating: "<a>", count: 100_000) + String(repeating: "</a>", count: 100_000)
        #expect(throws: XMLError.self) { _ = try Document(deep) }
    }

    @Test func `a document larger than the limit is an error`() throws {
        let xml = "<a>" + String(repeating: "x", count: 93) + "</a>"
        _ = try Document(xml, limit: 100)
        let error = #expect(throws: XMLError.self) { _ = try Document(xml, limit: 99) }
        #expect(error?.message == "100 bytes of XML, more than the 99 that are accepted")
    }

    @Test func `bytes that are not UTF-8 are an error`() {
        #expect(throws: XMLError.self) { _ = try Document(bytes: [0x3C, 0x61, 0x3E, 0xFF, 0x3C, 0x2F, 0x61, 0x3E]) }
    }

    @Test func `a declared encoding does not change the text`() throws {
        let document = try Document("<?xml version='1.0' encoding='ISO-8859-1'?><a>für</a>")
        #expect(try document.value(of: "string(/a)") == "für")
    }
}
