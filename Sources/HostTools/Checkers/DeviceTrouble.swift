/// What a checker says of a device that failed beneath it.
///
/// e2fsck with `-y` ignores that a block can't be read, writes what it has in the block's place, and claims a repair. When the
/// error doesn't come back (measured, with seven failing reads of an inode table), nothing else tells: what it wrote is on the disk,
/// a second run finds nothing wrong, and half the files are gone.
public enum DeviceTrouble {
    /// The words of e2fsck's `ehandler.c`; the block's number follows.
    private static let marks = ["Error reading block ", "Error writing block "].map { Array($0.utf8) }

    /// What a checker's log says of the device, from `offset` on; nil where it says nothing.
    ///
    /// - Throws: `Errno` when the log can't be read.
    public static func words(in log: String, from offset: Int64) throws -> String? {
        var words: String?
        _ = try Files.contains(in: log, from: offset, longest: 32) { text in
            words = marks.first { isFollowedByNumber($0, in: text) }.map {
                String(decoding: $0.dropLast(), as: UTF8.self)
            }
            return words != nil
        }
        return words
    }

    private static func isFollowedByNumber(_ mark: [UInt8], in text: [UInt8]) -> Bool {
        var start = text.startIndex
        while let place = text[start...].firstIndex(of: mark[0]), text.count - place > mark.count {
            let digit = text[place + mark.count]
            if text[place...].starts(with: mark), digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") { return true }
            start = place + 1
        }
        return false
    }
}
