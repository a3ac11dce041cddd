/// The beginning and the end of a text that may be endless.
struct KeptText: Hashable, Sendable {
    /// How much of the beginning is kept, in bytes.
    let headLimit: Int
    /// How much of the end is kept, in bytes.
    let tailLimit: Int
    private var head: [UInt8] = []
    private var tail: [UInt8] = []
    private var leftOut = 0

    /// Keeps what a log can have without being a burden.
    init(headLimit: Int = 64 << 10, tailLimit: Int = 256 << 10) {
        self.headLimit = headLimit
        self.tailLimit = tailLimit
    }

    /// Adds a line and its line break. Lines that were overwritten are for the caller to leave out.
    mutating func append(_ line: ConsoleLine) {
        if tail.isEmpty && leftOut == 0 && head.count + line.bytes.count < headLimit {
            head += line.bytes
            if line.ending != .limit { head.append(UInt8(ascii: "\n")) }
            return
        }
        tail += line.bytes
        if line.ending != .limit { tail.append(UInt8(ascii: "\n")) }
        // Seldom, and much at once: what is added costs the same however long the text becomes.
        if tail.count >= 2 * tailLimit + ConsoleText.lineLimit { cutTail() }
    }

    private mutating func cutTail() {
        let surplus = tail.count - tailLimit
        guard surplus > 0 else { return }
        tail.removeFirst(surplus)
        leftOut += surplus
        // Half a line would be read as a whole one.
        guard let lineBreak = tail.firstIndex(of: UInt8(ascii: "\n")) else { return }
        tail.removeFirst(lineBreak + 1)
        leftOut += lineBreak + 1
    }

    /// The text: valid UTF-8, no control characters but line breaks. Where something is missing, a line says how much.
    var text: String {
        var copy = self
        copy.cutTail()
        let gap = copy.leftOut == 0 ? "" : "[... \(copy.leftOut) bytes left out ...]\n"
        return String(decoding: copy.head, as: UTF8.self) + gap + String(decoding: copy.tail, as: UTF8.self)
    }
}
