/// A line of a console as a terminal would show it.
struct ConsoleLine: Hashable, Sendable {
    /// How a line came to its end.
    enum Ending: Hashable, Sendable {
        /// By a line break.
        case lineBreak
        /// Something else was written in its place, or the cursor went somewhere else.
        case overwritten
        /// It became too long; the next line is its continuation.
        case limit
        /// Not yet: a prompt, or a line in the middle.
        case open
    }

    /// Its bytes, without escape sequences and control characters: UTF-8, or what a broken guest sends instead.
    let bytes: [UInt8]
    let ending: Ending
    /// Whether it begins where a line begins, and not in the middle of a long one.
    let isBeginning: Bool

    /// Its text; what isn't UTF-8 is shown as U+FFFD. It may hold characters that turn the direction of writing:
    /// ``Swift/String/escapedForTerminal`` before a person sees it.
    var text: String { String(decoding: bytes, as: UTF8.self) }
}
