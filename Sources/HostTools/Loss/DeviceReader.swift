import Glibc
import SystemPackage

/// Reads a filesystem's bytes from a device or a file, and writes nothing. What it reads is hostile: a place that is not there gives
/// nil, and the number of bytes is limited, so that structures which point at each other for ever come to an end.
final class DeviceReader {
    private let file: FileDescriptor
    /// Size of the device in bytes.
    let size: UInt64
    /// How many more bytes may be read.
    private var budget: UInt64
    /// Blocks that a journal holds newer, by their number, with the number of the newer one.
    private var newer: [UInt64: UInt64] = [:]
    /// The size of these blocks in bytes.
    private var newerSize: UInt64 = 0
    /// Newer blocks whose first four bytes the journal replaced by zeroes, and what was there.
    private var escaped: Set<UInt64> = []

    /// Opens a device for reading.
    ///
    /// - Throws: `Errno`.
    init(_ path: String) throws {
        file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec])
        size = UInt64(max(0, try file.seek(offset: 0, from: .end)))
        // A sound filesystem has each of its blocks read once or twice; metadata is a small part of it.
        budget = size.multipliedReportingOverflow(by: 2).partialValue &+ 64 << 20
    }

    deinit {
        try? file.close()
    }

    /// The bytes at a place, or nil where the device has none there, can't be read, or was read for too long.
    func read(at offset: UInt64, count: Int) -> Bytes? {
        guard count > 0, offset < size, UInt64(count) <= size - offset, UInt64(count) <= budget else { return nil }
        budget -= UInt64(count)
        guard !newer.isEmpty else { return readBeneath(at: offset, count: count) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        var position = offset
        let end = offset + UInt64(count)
        while position < end {
            let block = position / newerSize
            let step = min(end, (block + 1) * newerSize) - position
            let place = newer[block].map { $0 &* newerSize + position % newerSize } ?? position
            guard let piece = readBeneath(at: place, count: Int(step)) else { return nil }
            bytes += piece.all
            if position % newerSize == 0, step >= 4, escaped.contains(block) {
                bytes.replaceSubrange(
                    bytes.count - Int(step)..<bytes.count - Int(step) + 4, with: ExtJournal.magicBytes)
            }
            position += step
        }
        return Bytes(bytes)
    }

    /// Whether it stopped reading because it had read too much.
    var isExhausted: Bool { budget < 1 << 16 }

    /// From now on these blocks are read from other places.
    func replace(_ blocks: [UInt64: UInt64], escaped: Set<UInt64>, blockSize: UInt64) {
        newer = blocks
        self.escaped = escaped
        newerSize = blockSize
    }

    private func readBeneath(at offset: UInt64, count: Int) -> Bytes? {
        guard offset < size, UInt64(count) <= size - offset else { return nil }
        var isWhole = true
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count {
                let rest = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[filled..<count])
                guard let done = try? file.read(fromAbsoluteOffset: Int64(offset) + Int64(filled), into: rest), done > 0
                else {
                    isWhole = false
                    return
                }
                filled += done
            }
        }
        return isWhole ? Bytes(bytes) : nil
    }
}

/// A piece of what was read. A number that would lie beyond its end is 0: whoever reads a hostile disk must not crash.
struct Bytes {
    private let storage: [UInt8]
    private let start: Int
    /// How many bytes there are.
    let count: Int

    init(_ bytes: [UInt8]) {
        storage = bytes
        start = 0
        count = bytes.count
    }

    private init(_ storage: [UInt8], _ start: Int, _ count: Int) {
        self.storage = storage
        self.start = start
        self.count = count
    }

    /// All of them.
    var all: ArraySlice<UInt8> { storage[start..<start + count] }

    /// A part of it, cut off at the end.
    func part(_ offset: Int, _ length: Int) -> Bytes {
        let from = min(max(0, offset), count)
        return Bytes(storage, start + from, min(max(0, length), count - from))
    }

    /// Whether every byte is zero.
    var isZero: Bool { all.allSatisfy { $0 == 0 } }

    func u8(_ offset: Int) -> UInt8 {
        offset >= 0 && offset < count ? storage[start + offset] : 0
    }

    /// Little endian.
    func le16(_ offset: Int) -> UInt16 { UInt16(littleEndian: load(offset)) }
    /// Little endian.
    func le32(_ offset: Int) -> UInt32 { UInt32(littleEndian: load(offset)) }
    /// Big endian.
    func be16(_ offset: Int) -> UInt16 { UInt16(bigEndian: load(offset)) }
    /// Big endian.
    func be32(_ offset: Int) -> UInt32 { UInt32(bigEndian: load(offset)) }
    /// Big endian.
    func be64(_ offset: Int) -> UInt64 { UInt64(bigEndian: load(offset)) }

    private func load<Number: FixedWidthInteger>(_ offset: Int) -> Number {
        guard offset >= 0, offset + MemoryLayout<Number>.size <= count else { return 0 }
        return storage.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start + offset, as: Number.self) }
    }

    /// CRC-32C of the bytes, with those of `hole` taken as zeroes (a checksum's own place).
    ///
    /// - Parameter seed: what comes before; the result is not inverted.
    func crc32c(seed: UInt32, hole: Range<Int> = 0..<0) -> UInt32 {
        let hole = hole.clamped(to: 0..<count)
        return storage.withUnsafeBufferPointer { buffer in
            let mine = UnsafeBufferPointer(rebasing: buffer[start..<start + count])
            guard !hole.isEmpty else { return CRC32C.update(seed, mine[...]) }
            var crc = CRC32C.update(seed, mine[..<hole.lowerBound])
            for _ in hole { crc = CRC32C.update(crc, byte: 0) }
            return CRC32C.update(crc, mine[hole.upperBound...])
        }
    }
}

/// The checksum of ext4's and XFS's metadata (Castagnoli's polynomial, reflected), eight bytes at a time.
enum CRC32C {
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            tables[index] = (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        for index in 256..<tables.count {
            let before = tables[index - 256]
            tables[index] = tables[Int(before & 0xFF)] ^ before >> 8
        }
        return tables
    }()

    static func update(_ crc: UInt32, byte: UInt8) -> UInt32 {
        tables[Int((crc ^ UInt32(byte)) & 0xFF)] ^ crc >> 8
    }

    static func update(_ crc: UInt32, _ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> UInt32 {
        let raw = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes))
        return tables.withUnsafeBufferPointer { table in
            var crc = crc
            var index = 0
            while index + 8 <= raw.count {
                let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ UInt64(crc)
                crc =
                    table[7 * 256 + Int(word & 0xFF)] ^ table[6 * 256 + Int(word >> 8 & 0xFF)]
                    ^ table[5 * 256 + Int(word >> 16 & 0xFF)] ^ table[4 * 256 + Int(word >> 24 & 0xFF)]
                    ^ table[3 * 256 + Int(word >> 32 & 0xFF)] ^ table[2 * 256 + Int(word >> 40 & 0xFF)]
                    ^ table[256 + Int(word >> 48 & 0xFF)] ^ table[Int(word >> 56)]
                index += 8
            }
            while index < raw.count {
                crc = table[Int((crc ^ UInt32(raw[index])) & 0xFF)] ^ crc >> 8
                index += 1
            }
            return crc
        }
    }

    /// Of a number's bytes, the least first.
    static func update(_ crc: UInt32, littleEndian number: UInt32) -> UInt32 {
        (0..<4).reduce(crc) { update($0, byte: UInt8(truncatingIfNeeded: number >> (8 * UInt32($1)))) }
    }
}
