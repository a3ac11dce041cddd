import HostTools
import Testing

struct JSONValueTests {
    @Test(
        arguments: [
            .null, true, false, 0, 1, -1, 9_223_372_036_854_775_807, .integer(.min), .number(0.5), "", "text",
            "quotes \" backslash \\ newline \n NUL \u{0} emoji 🧀 /slash", [], [1, "two", .null, [3]],
            [:], ["a": 1, "b": ["c": [true, .null]], "": "empty key"],
        ] as [JSONValue]) func `a value survives being written and read`(value: JSONValue) throws
    {
        let text = try value.text
        #expect(!text.contains("\n"), "QMP is read line by line")
        #expect(try JSONValue(parsing: text) == value)
    }

    @Test func `kinds are told apart`() throws {
        let value = try JSONValue(parsing: #"{"n": 1, "b": true, "s": "1", "d": 1.5, "z": null, "a": [1]}"#)
        #expect(value["n"] == .integer(1))
        #expect(value["b"] == .bool(true))
        #expect(value["s"] == .string("1"))
        #expect(value["d"] == .number(1.5))
        #expect(value["z"] == .null)
        #expect(value["a"]?.elements == [1])
        #expect(value["missing"] == nil)
        #expect(value["n"]?.bool == nil)
        #expect(value["b"]?.integer == nil)
        #expect(value["s"]?.integer == nil)
        #expect(value["n"]?.string == nil)
        #expect(value["n"]?.elements == [])
        #expect(value["n"]?["key"] == nil)
    }

    @Test func `paths are found in names that are JSON themselves`() throws {
        let value = try JSONValue(
            parsing: #"{"a":"/one","b":["json:{\"file\":{\"filename\":\"/two\"},\"offset\":0}","json:{","rel"]}"#)
        #expect(value.absolutePaths == ["/one", "/two"])
    }

    @Test(arguments: ["", "{", "nonsense", "{\"a\":}"]) func `what is no JSON is an error`(text: String) {
        #expect(throws: (any Error).self) { try JSONValue(parsing: text) }
    }

    @Test func `what nests too deep is refused before it is decoded`() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(throws: Never.self) { try JSONValue(parsing: nested(JSONNesting.limit)) }
        #expect(throws: DecodingError.self) { try JSONValue(parsing: nested(JSONNesting.limit + 1)) }
        // Brackets in a string are text.
        let text = JSONValue.string(#"\"["# + nested(500))
        #expect(try JSONValue(parsing: text.text) == text)
    }
}
