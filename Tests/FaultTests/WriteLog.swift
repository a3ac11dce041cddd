import Foundation
import TestSupport

/// What was written to a device, in order, with its flushes.
///
/// Source: the kernel's Documentation/admin-guide/device-mapper/log-writes.rst and dm-log-writes.c; QEMU's driver blklogwrites
/// writes the same format.
struct WriteLog: Sendable {
    /// One request. Sectors have 512 bytes.
    struct Entry: Sendable {
        var sector: Int
        var sectors: Int
        var flags: UInt64
        /// Where its data begins in the log, in bytes.
        var data: Int

        /// Everything that was done before is on the disk when it is.
        var isFlush: Bool { flags & 1 != 0 }
        /// It is on the disk itself when it is done.
        var isForced: Bool { flags & 2 != 0 }
        /// It has no data: the sectors read as zeros afterwards.
        var isDiscard: Bool { flags & 4 != 0 }
    }

    let path: String
    let entries: [Entry]

    /// Reads the entries of a log; their data stays where it is.
    init(_ path: String) throws {
        self.path = path
        entries = try FileHandle.read(path) { file in
            let header = try file.bytes(at: 0, count: 28)
            guard header.count == 28, header.number(at: 0) == 0x6a_7366_7773_6872, header.number(at: 8) == 1 else {
                throw ToolError(description: "\(path): is no write log")
            }
            let sectorSize = Int(header.number(at: 24, bytes: 4))
            var entries: [Entry] = []
            var position = sectorSize
            for _ in 0..<header.number(at: 16) {
                let words = try file.bytes(at: position, count: 32)
                guard words.count == 32 else { throw ToolError(description: "\(path): ends too early") }
                let ratio = sectorSize / 512
                let entry = Entry(
                    sector: Int(words.number(at: 0)) * ratio, sectors: Int(words.number(at: 8)) * ratio,
                    flags: words.number(at: 16), data: position + sectorSize)
                entries.append(entry)
                position = entry.data + (entry.isDiscard ? 0 : entry.sectors * 512)
            }
            return entries
        }
    }

    /// Does the requests of a range on a file.
    ///
    /// - Parameter parts: which sectors of a request reach it, counted from its first; nil for all.
    func replay(
        _ range: Range<Int>, on image: String, parts: (Entry) -> [Range<Int>]? = { _ in nil }
    ) throws {
        try FileHandle.read(path) { log in
            try FileHandle.update(image) { image in
                for entry in entries[range] where entry.sectors > 0 {
                    for part in parts(entry) ?? [0..<entry.sectors] {
                        let bytes =
                            entry.isDiscard
                            ? [UInt8](repeating: 0, count: part.count * 512)
                            : try log.bytes(at: entry.data + part.lowerBound * 512, count: part.count * 512)
                        try image.write(bytes, at: (entry.sector + part.lowerBound) * 512)
                    }
                }
            }
        }
    }
}

extension [UInt8] {
    /// A little-endian number.
    fileprivate func number(at offset: Int, bytes: Int = 8) -> UInt64 {
        self[offset..<offset + bytes].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
