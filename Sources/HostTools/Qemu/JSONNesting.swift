/// How deep JSON may nest before it is decoded.
///
/// Foundation's decoder traps at 512 levels, and takes seconds for what is a little less; what a guest can forge (names that
/// LVM prints) must not get that far. QEMU's answers have about ten levels.
public enum JSONNesting {
    /// Levels that are accepted.
    public static let limit = 100

    /// Whether the brackets of a JSON text nest deeper than ``limit``.
    public static func isTooDeep(_ text: some Sequence<UInt8>) -> Bool {
        var depth = 0
        var isInString = false
        var isEscaped = false
        for byte in text {
            if isInString {
                if byte == UInt8(ascii: "\""), !isEscaped { isInString = false }
                isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                if depth > limit { return true }
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            default: break
            }
        }
        return false
    }
}
