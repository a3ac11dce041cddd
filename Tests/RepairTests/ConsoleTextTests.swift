import Testing

@testable import Repair

struct ConsoleTextTests {
    private static func lines(_ chunks: [[UInt8]]) -> [ConsoleLine] {
        var text = ConsoleText()
        var lines: [ConsoleLine] = []
        for chunk in chunks { text.read(chunk) { lines.append($0) } }
        if !text.openLine.bytes.isEmpty { lines.append(text.openLine) }
        return lines
    }

    private static func lines(_ text: String) -> [String] { lines([Array(text.utf8)]).map(\.text) }

    @Test(arguments: [
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb\r\r\n", ["a", "b"]),
        ("\u{1B}[0;32m  OK  \u{1B}[0m] Reached\n", ["  OK  ] Reached"]),
        ("[\u{1B}[0;1;31mFAILED\u{1B}[0m] x\n", ["[FAILED] x"]),
        ("\u{1B}]0;a title\u{7}text\n", ["text"]),
        ("\u{1B}]0;a title\u{1B}\\text\n", ["text"]),
        ("\u{1B}Pgarbage\nnext\n", ["", "next"]),
        ("\u{1B}(Bx\u{1B}#8y\n", ["xy"]),
        ("\u{1B}c\u{1B}[?7l\u{1B}[2JSeaBIOS\n", ["SeaBIOS"]),
        ("one\u{1B}[5;1Htwo\n", ["one", "two"]),
        ("one\u{1B}[2Jtwo\n", ["one", "two"]),
        ("one\u{1B}[Ktwo\n", ["onetwo"]),
        ("\u{1B}[12", []),
        ("\u{1B}[1\n2\n", ["", "2"]),
        ("a\u{0}b\u{7F}c\u{1}\n", ["abc"]),
        ("a\tb\n", ["a b"]),
        ("abc\u{8}\u{8}d\n", ["ad"]),
        ("ä\u{8}x\n", ["x"]),
        ("x\u{9B}31my\n", ["x31my"]),
        ("10%\r20%\rdone\n", ["10%", "20%", "done"]),
        ("login: ", ["login: "]),
        ("grüße\n", ["grüße"]),
    ])
    func `lines are what a terminal shows`(_ text: String, _ lines: [String]) {
        #expect(Self.lines(text) == lines)
    }

    @Test func `chunks may end anywhere`() {
        let text = "\u{1B}[1;31mä\u{1B}]0;t\u{1B}\\ 10%\r20%\r\n\u{1B}(Bmore\u{1B}[5;1H last: "
        let bytes = Array(text.utf8)
        #expect(Self.lines([bytes]) == Self.lines(bytes.map { [$0] }))
    }

    @Test func `what was overwritten is said to be`() {
        let lines = Self.lines([Array("10%\rdone\nprompt> ".utf8)])
        #expect(lines.map(\.ending) == [.overwritten, .lineBreak, .open])
        #expect(lines.allSatisfy { $0.isBeginning })
    }

    @Test func `a line without an end comes in pieces`() {
        let lines = Self.lines([[UInt8](repeating: 0x78, count: 3 * ConsoleText.lineLimit + 1) + [0x0A, 0x79]])
        #expect(
            lines.map(\.bytes.count) == [ConsoleText.lineLimit, ConsoleText.lineLimit, ConsoleText.lineLimit, 1, 1])
        #expect(lines.map(\.isBeginning) == [true, false, false, false, true])
    }

    @Test func `no bytes of any kind break it`() {
        var generator = SplitMix(state: 42)
        for _ in 0..<200 {
            let bytes = (0..<4096).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            for line in Self.lines([bytes, bytes.reversed()]) {
                #expect(line.bytes.count <= ConsoleText.lineLimit)
                #expect(line.text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
            }
        }
    }
}

/// The same numbers in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

struct KeptTextTests {
    private static func line(_ text: String) -> ConsoleLine {
        ConsoleLine(bytes: Array(text.utf8), ending: .lineBreak, isBeginning: true)
    }

    @Test func `a short text is kept as it is`() {
        var text = KeptText(headLimit: 10, tailLimit: 10)
        text.append(Self.line("one"))
        text.append(Self.line("two"))
        text.append(Self.line("three"))
        #expect(text.text == "one\ntwo\nthree\n")
    }

    @Test func `of an endless text the beginning and the end are kept`() {
        var text = KeptText(headLimit: 100, tailLimit: 100)
        for number in 0..<100_000 { text.append(Self.line("line \(number)")) }
        let lines = text.text.split(separator: "\n")
        #expect(lines.first == "line 0")
        #expect(lines.last == "line 99999")
        #expect(text.text.utf8.count < 300)
        let all = (0..<100_000).reduce(0) { $0 + "line \($1)\n".utf8.count }
        let gap = lines.first { $0.hasPrefix("[...") }
        let kept = lines.filter { !$0.hasPrefix("[...") }.reduce(0) { $0 + $1.utf8.count + 1 }
        #expect(gap == "[... \(all - kept) bytes left out ...]")
    }
}

struct PhraseFinderTests {
    @Test func `finds what is there, and nothing else`() {
        var generator = SplitMix(state: 7)
        for _ in 0..<300 {
            let word = { (count: Int) in
                String((0..<count).map { _ in "ab".randomElement(using: &generator) ?? "a" })
            }
            let phrases = Array(Set((0..<6).map { _ in word(Int.random(in: 1...5)) })).sorted()
            let text = word(60)
            var found: Set<[Int]> = []
            PhraseFinder(phrases).find(in: Array(text.utf8)) { found.insert([$0, $1]) }
            var expected: Set<[Int]> = []
            for (number, phrase) in phrases.enumerated() {
                for end in phrase.count...60 where text.prefix(end).hasSuffix(phrase) {
                    expected.insert([number, end])
                }
            }
            #expect(found == expected, "\(phrases) in \(text)")
        }
    }
}
