import FoundationEssentials
import HostTools

/// The text of a journal: a line for each entry, its checksum and its JSON. Each sum goes on from the one before it, so that
/// no line can be changed, left out or put elsewhere unnoticed. Pure.
enum JournalText {
    /// Why a journal can't be obeyed.
    enum Damage: Error, Hashable, CustomStringConvertible {
        case empty
        case line(Int)
        case newer(format: Int)

        var description: String {
            switch self {
            case .empty: "it has no whole line"
            case .line(let number): "line \(number) is damaged, or was edited"
            case .newer(let format):
                "a newer virt-fsck wrote it (journal format \(format), this one knows \(JournalHeader.format)); recover "
                    + "with that one"
            }
        }
    }

    /// An entry's line, newline included, and the sum that the next one goes on from.
    static func line(_ entry: JournalEntry, after sum: UInt32) throws -> (text: [UInt8], sum: UInt32) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json = Array(try encoder.encode(entry))
        let next = Checksum.of(json, after: sum)
        let digits = String(next, radix: 16)
        return (Array((String(repeating: "0", count: 8 - digits.count) + digits + " ").utf8) + json + [newline], next)
    }

    /// Reads a journal.
    ///
    /// A last line that is not whole was torn by a power cut: its step was not begun, and it doesn't count. Every other
    /// line that doesn't fit is damage.
    static func entries(of text: [UInt8]) throws(Damage) -> (entries: [JournalEntry], length: Int, sum: UInt32) {
        var entries: [JournalEntry] = []
        var sum: UInt32 = 0
        var length = 0
        while length < text.count {
            let end = text[length...].firstIndex(of: newline)
            let line = text[length..<(end ?? text.endIndex)]
            guard let end, let next = self.sum(of: line, after: sum) else {
                let isLast = end.map { $0 + 1 == text.count } ?? true
                guard isLast, !entries.isEmpty else { throw .line(entries.count + 1) }
                break
            }
            let json = Data(line.dropFirst(9))
            // Nobody's journal nests that deep, and the decoder would trap.
            guard !JSONNesting.isTooDeep(json) else { throw .line(entries.count + 1) }
            guard let entry = try? JSONDecoder().decode(JournalEntry.self, from: json) else {
                // Whole, but not ours to understand.
                if entries.isEmpty, let format = format(of: json), format > JournalHeader.format {
                    throw .newer(format: format)
                }
                throw .line(entries.count + 1)
            }
            if case .begin(let header) = entry, header.format > JournalHeader.format {
                throw .newer(format: header.format)
            }
            entries.append(entry)
            sum = next
            length = end + 1
        }
        guard !entries.isEmpty else { throw .empty }
        return (entries, length, sum)
    }

    private static let newline = UInt8(ascii: "\n")

    /// The sum of a line that fits; nil for one that doesn't.
    private static func sum(of line: ArraySlice<UInt8>, after previous: UInt32) -> UInt32? {
        guard line.count > 9, line[line.startIndex + 8] == UInt8(ascii: " "),
            let stated = UInt32(String(decoding: line.prefix(8), as: UTF8.self), radix: 16)
        else { return nil }
        let sum = Checksum.of(line.dropFirst(9), after: previous)
        return sum == stated ? sum : nil
    }

    /// Of an entry whose other fields we may not know.
    private static func format(of json: Data) -> Int? {
        struct Format: Decodable { var format: Int }
        struct Entry: Decodable { var begin: [String: Format] }
        return (try? JSONDecoder().decode(Entry.self, from: json))?.begin["_0"]?.format
    }
}
