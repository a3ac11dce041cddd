/// The journal of an ext3/4, as e2fsck would replay it: which blocks it holds newer than the filesystem.
///
/// What a journal makes of the files is no loss, so the original is read as it is after it. Nothing is written for that.
/// Layout: the kernel's `Documentation/filesystems/ext4/journal.rst`; its numbers are big endian.
struct ExtJournal {
    /// Newer blocks by their number, with the number of the journal's own block.
    private(set) var blocks: [UInt64: UInt64] = [:]
    /// Those whose first four bytes were the journal's magic number, and are zero in the journal.
    private(set) var escaped: Set<UInt64> = []

    /// Whether there is more behind a place that is damaged: e2fsck replays nothing of it. It is read all the same, as what was there.
    private(set) var isTorn = false
    /// Whether that damage may have taken the list of a transaction's blocks.
    private(set) var lacksParts = false

    /// Whether there are fast commits behind what was committed in full: e2fsck replays them, and this reader does not.
    private(set) var hasFastCommits = false

    static let magicBytes: [UInt8] = [0xC0, 0x3B, 0x39, 0x98]
    private static let magic: UInt32 = 0xC03B_3998

    /// How many blocks are looked at behind a journal's end: a damaged descriptor stands before at most a block's worth of others.
    private static var mostSkipped: Int { 8192 }

    private struct Transaction {
        var tags: [(block: UInt64, place: UInt64, isEscaped: Bool)] = []
    }

    /// Reads a journal.
    ///
    /// - Parameters:
    ///   - map: the block of the filesystem for each of the journal's blocks; 0 where there is none.
    ///   - assumed: its features where its superblock is damaged, so that nothing of it is replayed: all that it ever held is read then.
    /// - Returns: nil where it is damaged, and nothing is assumed.
    init?(_ device: DeviceReader, map: [UInt64], blockSize: UInt64, assumed: UInt32? = nil) {
        func block(_ number: UInt64) -> Bytes? {
            guard number < UInt64(map.count), map[Int(number)] != 0 else { return nil }
            return device.read(at: map[Int(number)] &* blockSize, count: Int(blockSize))
        }
        guard let head = block(0) else { return nil }
        let isWhole =
            head.be32(0) == Self.magic && [3, 4].contains(head.be32(4)) && UInt64(head.be32(12)) == blockSize
        guard isWhole || assumed != nil else { return nil }
        let features = isWhole ? head.be32(4) == 4 ? head.be32(40) : 0 : assumed ?? 0
        let first = isWhole ? UInt64(head.be32(20)) : 1
        let fastBlocks = features & 0x20 != 0 ? UInt64(head.be32(0x54) == 0 ? 256 : head.be32(0x54)) : 0
        let end = isWhole ? UInt64(head.be32(16)) &- fastBlocks : UInt64(map.count)
        let start = isWhole ? UInt64(head.be32(28)) : 1
        isTorn = !isWhole
        // fs/ext4/fast_commit.h: EXT4_FC_TAG_HEAD, a length, features, and the transaction that it follows. They begin one block behind
        // the last of the others (fs/jbd2/journal.c: j_fc_first).
        func hasFastCommit(after sequence: UInt32) -> Bool {
            guard fastBlocks > 0, let bytes = block(end + 1) else { return false }
            return bytes.le16(0) == 9 && bytes.le16(2) == 8 && bytes.le32(8) == sequence
        }
        guard start != 0 else {
            hasFastCommits = hasFastCommit(after: head.be32(24))
            return
        }
        guard first > 0, first < end, end <= UInt64(map.count), start >= first, start < end else { return nil }
        let is64Bits = features & 0x2 != 0
        let hasLongTags = features & 0x10 != 0
        let tagSize = hasLongTags ? 16 : 8 + (features & 0x8 != 0 ? 2 : 0) + (is64Bits ? 4 : 0)
        let tail = features & 0x18 != 0 ? 4 : 0

        var revoked: [UInt64: UInt32] = [:]
        var done: [(sequence: UInt32, transaction: Transaction)] = []
        var current = Transaction()
        var revokedNow: [UInt64] = []
        var sequence = head.be32(24)
        /// The transaction behind the last one that e2fsck replays.
        var replayed: UInt32?
        var position = start
        var steps: UInt64 = 0
        var skipped = 0
        var missing = 0
        func advance() {
            position += 1
            if position >= end { position = first }
            steps += 1
        }
        func finish() {
            for block in revokedNow { revoked[block] = max(sequence, revoked[block] ?? 0) }
            done.append((sequence, current))
            (current, revokedNow) = (Transaction(), [])
        }
        func isLater(_ one: UInt32, _ other: UInt32) -> Bool { Int32(bitPattern: one &- other) > 0 }
        while steps < end - first, !isWhole || skipped < Self.mostSkipped {
            let bytes = block(position)
            guard let bytes, bytes.be32(0) == Self.magic, [1, 2, 5].contains(bytes.be32(4)) else {
                if replayed == nil { replayed = sequence }
                skipped += 1
                missing += 1
                advance()
                continue
            }
            if bytes.be32(8) != sequence {
                if replayed == nil { replayed = sequence }
                // What is left of older rounds has lower numbers.
                guard !isWhole || isLater(bytes.be32(8), sequence) else {
                    skipped += 1
                    missing += 1
                    advance()
                    continue
                }
                isTorn = true
                // One block between two transactions was the first one's commit.
                if isWhole, missing > 1 || bytes.be32(8) != sequence &+ 1 { lacksParts = true }
                finish()
                sequence = bytes.be32(8)
            } else if bytes.be32(4) == 2, missing > 0 {
                // It is committed, and a part of it is none any more.
                isTorn = true
                if isWhole { lacksParts = true }
            }
            missing = 0
            advance()
            switch bytes.be32(4) {
            case 1:
                var offset = 12
                while offset + tagSize <= Int(blockSize) - tail {
                    let flags = hasLongTags ? bytes.be32(offset + 4) : UInt32(bytes.be16(offset + 6))
                    let high = is64Bits || hasLongTags ? UInt64(bytes.be32(offset + 8)) : 0
                    let number = UInt64(bytes.be32(offset)) | (is64Bits ? high << 32 : 0)
                    let place = position < UInt64(map.count) ? map[Int(position)] : 0
                    current.tags.append((number, place, flags & 0x1 != 0))
                    advance()
                    offset += tagSize + (flags & 0x2 != 0 ? 0 : 16)
                    if flags & 0x8 != 0 { break }
                }
            case 2:
                finish()
                sequence &+= 1
            default:
                let used = min(Int(bytes.be32(12)), Int(blockSize) - tail)
                let width = is64Bits ? 8 : 4
                for offset in stride(from: 16, to: max(16, used - width + 1), by: width) {
                    revokedNow.append(is64Bits ? bytes.be64(offset) : UInt64(bytes.be32(offset)))
                }
            }
        }
        hasFastCommits = hasFastCommit(after: replayed ?? sequence)
        done.sort { isLater($1.sequence, $0.sequence) }
        for (sequence, transaction) in done {
            for tag in transaction.tags where tag.place != 0 {
                if let limit = revoked[tag.block], limit >= sequence { continue }
                blocks[tag.block] = tag.place
                if tag.isEscaped { escaped.insert(tag.block) } else { escaped.remove(tag.block) }
            }
        }
    }
}
