/// Makes lines of what a console says, chunk by chunk, in memory that doesn't grow.
///
/// Escape sequences, control characters and what stands between them are taken out as a terminal would (ECMA-48): colours,
/// cursor movements, titles. A carriage return or a movement of the cursor ends a line as ``ConsoleLine/Ending/overwritten``:
/// a progress bar is many such lines, and none of them stays. Whatever isn't text, whole binary floods included, costs time
/// that is linear in its length, and nothing else.
struct ConsoleText: Sendable {
    /// How long a line may be, in bytes. Linux's own lines have at most about 1,000 (`LOG_LINE_MAX` in its
    /// `kernel/printk`), its command line 2,048.
    static let lineLimit = 4096

    private enum State {
        case ground
        /// After ESC.
        case escape
        /// After ESC and a byte that announces one more, such as the choice of a character set.
        case escapeWithOneMore
        /// In a control sequence; its parameters so far.
        case sequence
        /// In a string for the terminal, such as a title.
        case string
        /// In such a string, after ESC.
        case stringEscape
    }

    private var state = State.ground
    private var line: [UInt8] = []
    private var isBeginning = true
    /// After a carriage return: what comes next is written over the line.
    private var isAtStart = false
    private var sequenceLength = 0
    /// The number before the first `;` of a control sequence.
    private var parameter = 0

    /// A sequence that is longer than any real one is not one.
    private static let sequenceLimit = 64
    private static let stringLimit = 1024

    init() {
        line.reserveCapacity(Self.lineLimit)
    }

    /// The line that has no end yet: a prompt waits at the end of one.
    var openLine: ConsoleLine { ConsoleLine(bytes: line, ending: .open, isBeginning: isBeginning) }

    /// Reads a chunk, and gives every line that ends in it.
    mutating func read(_ bytes: [UInt8], _ take: (ConsoleLine) -> Void) {
        for byte in bytes {
            switch state {
            case .ground: ground(byte, take)
            case .escape: escape(byte, take)
            case .escapeWithOneMore:
                state = .ground
                // Not a character set's name: the sequence was cut off.
                if byte < 0x20 { ground(byte, take) }
            case .sequence: sequence(byte, take)
            case .string: string(byte, take)
            case .stringEscape:
                // ESC \ ends the string; another escape sequence does, too, and begins.
                state = .escape
                if byte == UInt8(ascii: "\\") { state = .ground } else { escape(byte, take) }
            }
        }
    }

    private mutating func ground(_ byte: UInt8, _ take: (ConsoleLine) -> Void) {
        if byte >= 0x20 && byte != 0x7F {
            write(byte, take)
            return
        }
        switch byte {
        case 0x0A, 0x0B, 0x0C: end(.lineBreak, take)
        case 0x0D: isAtStart = true
        case 0x09: write(UInt8(ascii: " "), take)
        case 0x08: eraseLast()
        case 0x1B: state = .escape
        default: break
        }
    }

    private mutating func write(_ byte: UInt8, _ take: (ConsoleLine) -> Void) {
        if isAtStart {
            isAtStart = false
            if !line.isEmpty { end(.overwritten, take) }
        }
        if 0x80...0x9F ~= byte && line.last == 0xC2 {
            // U+0080 to U+009F: terminals take them for control characters.
            line.removeLast()
            return
        }
        line.append(byte)
        if line.count == Self.lineLimit { end(.limit, take) }
    }

    private mutating func end(_ ending: ConsoleLine.Ending, _ take: (ConsoleLine) -> Void) {
        take(ConsoleLine(bytes: line, ending: ending, isBeginning: isBeginning))
        line.removeAll(keepingCapacity: true)
        isBeginning = ending != .limit
        isAtStart = false
    }

    /// The cursor goes somewhere else: what is written next doesn't belong to this line.
    private mutating func leaveLine(_ take: (ConsoleLine) -> Void) {
        if line.isEmpty { isBeginning = true } else { end(.overwritten, take) }
        isAtStart = false
    }

    private mutating func eraseLast() {
        // A character is its first byte and those that continue it.
        while let last = line.popLast(), last & 0xC0 == 0x80 {}
    }

    private mutating func escape(_ byte: UInt8, _ take: (ConsoleLine) -> Void) {
        state = .ground
        switch byte {
        case UInt8(ascii: "["):
            state = .sequence
            (sequenceLength, parameter) = (0, 0)
        case UInt8(ascii: "]"), UInt8(ascii: "P"), UInt8(ascii: "X"), UInt8(ascii: "^"), UInt8(ascii: "_"):
            state = .string
            sequenceLength = 0
        case 0x20...0x2F: state = .escapeWithOneMore
        case 0x1B: state = .escape
        case UInt8(ascii: "c"), UInt8(ascii: "D"), UInt8(ascii: "E"), UInt8(ascii: "M"): leaveLine(take)
        case ..<0x20: ground(byte, take)
        default: break
        }
    }

    private mutating func sequence(_ byte: UInt8, _ take: (ConsoleLine) -> Void) {
        sequenceLength += 1
        switch byte {
        case 0x40...0x7E:
            state = .ground
            act(byte, take)
        case 0x20...0x3F where sequenceLength < Self.sequenceLimit:
            if UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte && parameter < 1000 {
                parameter = parameter * 10 + Int(byte - UInt8(ascii: "0"))
            }
        default:
            // Cut off, or none: the byte is what it is elsewhere.
            state = .ground
            ground(byte, take)
        }
    }

    /// What a control sequence does, as far as lines are concerned.
    private mutating func act(_ final: UInt8, _ take: (ConsoleLine) -> Void) {
        switch final {
        case UInt8(ascii: "A"), UInt8(ascii: "B"), UInt8(ascii: "E"), UInt8(ascii: "F"), UInt8(ascii: "H"),
            UInt8(ascii: "f"), UInt8(ascii: "d"):
            leaveLine(take)
        case UInt8(ascii: "G"): isAtStart = true
        // Without a number it erases what is behind the cursor: there is nothing, or what a return is about to erase.
        case UInt8(ascii: "J") where parameter > 1, UInt8(ascii: "K") where parameter > 1: leaveLine(take)
        case UInt8(ascii: "C"): write(UInt8(ascii: " "), take)
        default: break
        }
    }

    private mutating func string(_ byte: UInt8, _ take: (ConsoleLine) -> Void) {
        sequenceLength += 1
        switch byte {
        case 0x1B: state = .stringEscape
        case 0x07, 0x18, 0x1A: state = .ground
        case 0x0A, 0x0D:
            // No terminal title has a line break: the string was garbage, and the next line may count.
            state = .ground
            ground(byte, take)
        default:
            if sequenceLength > Self.stringLimit { state = .ground }
        }
    }
}
