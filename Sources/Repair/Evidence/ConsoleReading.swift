/// What a console said, and what it proves: give it the bytes as they come.
///
/// Every byte costs the same, and the memory has a limit, whatever the guest sends.
struct ConsoleReading: Sendable {
    /// Nothing was read yet.
    init() {}

    private var text = KeptText()
    private var lines = ConsoleText()
    private var evidence = BootEvidence()

    /// Reads the next chunk.
    mutating func read(_ bytes: [UInt8]) {
        lines.read(bytes) { line in
            evidence.read(line)
            if line.ending != .overwritten { text.append(line) }
        }
    }

    /// The guest was restarted, whether or not it says so.
    mutating func restart() { evidence.restart() }

    /// What is known so far. The line without an end counts as it is now: a prompt waits at the end of one.
    var verdict: BootEvidence.Verdict {
        let open = lines.openLine
        guard !open.bytes.isEmpty else { return evidence.verdict }
        var evidence = evidence
        evidence.read(open)
        return evidence.verdict
    }

    /// Long work that the guest does before it is up, in words for the report; nil where none is known.
    var work: String? { evidence.work }

    /// What to keep for the run's log folder: lines as a terminal would have left them, without what was overwritten. The line
    /// without an end is there too: the prompt that proves it all waits at the end of one.
    var transcript: String {
        var text = text
        let open = lines.openLine
        if !open.bytes.isEmpty { text.append(open) }
        return text.text
    }

    /// The last line that isn't blank: what a guest that proves nothing says in the end. Nil when it said nothing.
    var lastLine: String? {
        let open = lines.openLine.text
        if open.contains(where: { !$0.isWhitespace }) { return open }
        return text.text.split(separator: "\n").last { $0.contains { !$0.isWhitespace } }.map(String.init)
    }
}
