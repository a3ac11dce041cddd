/// What an ext2/3/4 superblock says of the filesystem's shape, as far as it can be true.
/// Layout: the kernel's `Documentation/filesystems/ext4/super.rst`.
struct ExtGeometry: Hashable {
    let blockSize: UInt64
    let blockCount: UInt64
    let firstBlock: UInt64
    let blocksPerGroup: UInt64
    let inodesPerGroup: UInt64
    let inodeSize: Int
    let descriptorSize: Int
    let hasSparseBackups: Bool
    let backupGroups: [UInt64]
    let firstMetaGroup: UInt64?
    /// Whether inodes, descriptors and blocks of folders have a CRC-32C.
    let hasChecksums: Bool
    /// Whether descriptors have at least a CRC-16.
    let hasDescriptorChecksums: Bool
    let checksumSeed: UInt32
    let uuid: [UInt8]
    let hasJournal: Bool
    /// Whether it says that the journal must be replayed.
    let needsReplay: Bool
    let journal: UInt64
    /// What the journal's inode says of its size and blocks, as the superblock remembers it: an inode's bytes; nil where it does not.
    let journalCopy: [UInt8]?
    /// How many inodes are in use, its own among them; nil where it does not say so, or not since it was last mounted.
    let usedInodes: UInt64?
    /// Inodes below this one are the filesystem's own.
    let firstInode: UInt64
    /// Further inodes that are the filesystem's own.
    let ownInodes: Set<UInt64>

    /// - Parameter block: 1,024 bytes.
    init?(superblock block: Bytes) {
        guard block.count == 1024, block.le16(0x38) == 0xEF53, block.le32(0x18) <= 6 else { return nil }
        let incompatible = block.le32(0x60)
        let readOnly = block.le32(0x64)
        let has64Bits = incompatible & 0x80 != 0
        blockSize = 1024 << UInt64(block.le32(0x18))
        blockCount = UInt64(block.le32(0x04)) | (has64Bits ? UInt64(block.le32(0x150)) << 32 : 0)
        firstBlock = UInt64(block.le32(0x14))
        blocksPerGroup = UInt64(block.le32(0x20))
        inodesPerGroup = UInt64(block.le32(0x28))
        inodeSize = block.le32(0x4C) == 0 ? 128 : Int(block.le16(0x58))
        descriptorSize = has64Bits ? Int(block.le16(0xFE)) : 32
        hasSparseBackups = readOnly & 0x1 != 0
        backupGroups = block.le32(0x5C) & 0x200 != 0 ? [UInt64(block.le32(0x24C)), UInt64(block.le32(0x250))] : []
        firstMetaGroup = incompatible & 0x10 != 0 ? UInt64(block.le32(0x104)) : nil
        hasChecksums = readOnly & 0x400 != 0
        hasDescriptorChecksums = readOnly & 0x410 != 0
        uuid = Array(block.part(0x68, 16).all)
        checksumSeed =
            incompatible & 0x2000 != 0 ? block.le32(0x270) : block.part(0x68, 16).crc32c(seed: ~0)
        hasJournal = block.le32(0x5C) & 0x4 != 0
        needsReplay = incompatible & 0x4 != 0
        journal = UInt64(block.le32(0xE0))
        journalCopy = block.u8(0xFD) == 1 ? Self.inode(ofJournal: block.part(0x10C, 68)) : nil
        firstInode = block.le32(0x4C) == 0 ? 11 : UInt64(block.le32(0x54))
        ownInodes = Set([0x240, 0x244, 0x26C, 0x280].map { UInt64(block.le32($0)) })
        let counts = (all: UInt64(block.le32(0x00)), free: UInt64(block.le32(0x10)))
        // Files that were deleted while somebody had them open count as used until the next mount.
        let hasOrphans = block.le32(0xE8) != 0 || readOnly & 0x1_0000 != 0
        let isClosed = block.le16(0x3A) & 0x1 != 0 && incompatible & 0x4 == 0 && !hasOrphans
        let isRight = !hasChecksums || block.part(0, 0x3FC).crc32c(seed: ~0) == block.le32(0x3FC)
        usedInodes = isClosed && isRight && counts.free <= counts.all ? counts.all - counts.free : nil
        guard isPlausible else { return nil }
    }

    /// - Parameter copy: `s_jnl_blocks`: the 60 bytes that point at blocks, and the high and the low half of the size.
    private static func inode(ofJournal copy: Bytes) -> [UInt8] {
        var inode = [UInt8](repeating: 0, count: 128)
        inode.replaceSubrange(0x28..<0x64, with: copy.part(0, 60).all)
        inode.replaceSubrange(0x6C..<0x70, with: copy.part(60, 4).all)
        inode.replaceSubrange(0x04..<0x08, with: copy.part(64, 4).all)
        // A file, with one link; its blocks are a tree of extents where they begin with that one's number.
        (inode[0x01], inode[0x1A]) = (0x80, 1)
        if copy.le16(0) == 0xF30A { inode[0x22] = 0x08 }
        return inode
    }

    private var isPlausible: Bool {
        guard firstBlock <= 1, blocksPerGroup > 0, blocksPerGroup <= 1 << 28, blockCount > firstBlock,
            blockCount < 1 << 48, inodesPerGroup > 0, inodesPerGroup <= blockSize * 8
        else { return false }
        return inodeSize >= 128 && inodeSize <= Int(blockSize) && inodeSize.nonzeroBitCount == 1
            && descriptorSize >= 32 && descriptorSize <= Int(blockSize) && descriptorSize.nonzeroBitCount == 1
            && groupCount <= 1 << 24
    }

    var groupCount: UInt64 { (blockCount - firstBlock + blocksPerGroup - 1) / blocksPerGroup }
    var inodeCount: UInt64 { groupCount * inodesPerGroup }
    private var descriptorsPerBlock: UInt64 { blockSize / UInt64(descriptorSize) }

    /// Where a group begins, in bytes.
    func start(of group: UInt64) -> UInt64 { (firstBlock + group * blocksPerGroup) * blockSize }

    /// Groups that begin with a copy of the superblock; the first few of them, without the first.
    var backups: [UInt64] {
        let candidates: [UInt64]
        if !backupGroups.isEmpty {
            candidates = backupGroups
        } else {
            candidates = hasSparseBackups ? [1, 3, 5, 7, 9, 25, 27, 49] : [1, 2, 3, 4, 5]
        }
        return candidates.filter { $0 > 0 && $0 < groupCount }
    }

    private func hasBackup(_ group: UInt64) -> Bool {
        guard group > 1, backupGroups.isEmpty, hasSparseBackups else {
            return backupGroups.isEmpty || group == 0 || backupGroups.contains(group)
        }
        return [3, 5, 7].contains { (base: UInt64) in
            var power = base
            while power < group { power *= base }
            return power == group
        }
    }

    /// Where a descriptor is, in bytes, in the copy that follows the superblock of a group.
    func descriptorPlace(of group: UInt64, in copy: UInt64) -> UInt64 {
        let meta = group / descriptorsPerBlock
        let within = group % descriptorsPerBlock * UInt64(descriptorSize)
        guard let firstMetaGroup, meta >= firstMetaGroup else {
            // With bigalloc the first group begins at block 0 also where blocks are so small that the superblock is in the next.
            let first = copy == 0 && firstBlock == 0 && blockSize == 1024 ? blockSize : 0
            return start(of: copy) + first + (1 + meta) * blockSize + within
        }
        // With meta_bg each stretch of groups has its descriptors in its first, second and last group.
        let holder = meta * descriptorsPerBlock + (copy == 0 ? 0 : 1)
        return start(of: min(holder, groupCount - 1)) + (hasBackup(holder) ? blockSize : 0) + within
    }
}

/// What a descriptor says of a group.
struct ExtGroup {
    /// First block of its inodes' table.
    let table: UInt64
    /// The block of the map of its used inodes.
    let inodeMap: UInt64
    let inodeMapChecksum: UInt32
    /// How many inodes at the end of the table were never used.
    let neverUsed: UInt64
    let freeInodes: UInt64
    /// Whether it has a checksum that is right; nil where it has none.
    let isRight: Bool?
    /// Whether it is a copy, or was made of one: the kernel doesn't keep those, so that the group may hold much that they know nothing of.
    var isCopy: Bool

    init(_ bytes: Bytes, number: UInt64, isCopy: Bool, _ geometry: ExtGeometry) {
        self.isCopy = isCopy
        let isLarge = bytes.count >= 64
        func number64(_ low: Int, _ high: Int) -> UInt64 {
            UInt64(bytes.le32(low)) | (isLarge ? UInt64(bytes.le32(high)) << 32 : 0)
        }
        func number32(_ low: Int, _ high: Int) -> UInt32 {
            UInt32(bytes.le16(low)) | (isLarge ? UInt32(bytes.le16(high)) << 16 : 0)
        }
        table = number64(0x08, 0x28)
        inodeMap = number64(0x04, 0x24)
        inodeMapChecksum = number32(0x1A, 0x3A)
        freeInodes = UInt64(number32(0x0E, 0x2E))
        let flags = bytes.le16(0x12)
        let unused = min(UInt64(number32(0x1C, 0x32)), geometry.inodesPerGroup)
        if geometry.hasChecksums {
            let seed = CRC32C.update(geometry.checksumSeed, littleEndian: UInt32(truncatingIfNeeded: number))
            isRight = bytes.crc32c(seed: seed, hole: 0x1E..<0x20) & 0xFFFF == UInt32(bytes.le16(0x1E))
        } else if geometry.hasDescriptorChecksums {
            isRight = Self.crc16(of: bytes, number: number, uuid: geometry.uuid) == bytes.le16(0x1E)
        } else {
            isRight = nil
        }
        // EXT4_BG_INODE_UNINIT
        neverUsed = isRight == true ? (flags & 0x1 != 0 ? geometry.inodesPerGroup : unused) : 0
    }

    /// lib/ext2fs/csum.c of e2fsprogs.
    private static func crc16(of bytes: Bytes, number: UInt64, uuid: [UInt8]) -> UInt16 {
        let group = (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
        let covered = uuid + group + bytes.part(0, 0x1E).all + bytes.part(0x20, bytes.count).all
        return covered.reduce(0xFFFF) { crc, byte in
            (0..<8).reduce(crc ^ UInt16(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
        }
    }
}
