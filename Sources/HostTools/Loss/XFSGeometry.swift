/// What an XFS superblock says of the filesystem's shape, as far as it can be true. Layout: `struct xfs_dsb` in the kernel's
/// fs/xfs/libxfs/xfs_format.h; its numbers are big endian.
struct XFSGeometry: Hashable {
    let blockSize: UInt64
    let blocksPerGroup: UInt64
    let groupCount: UInt64
    let sectorSize: UInt64
    let inodeSize: Int
    let inodesPerBlock: UInt64
    /// Binary logarithms of the inodes in a block and the blocks in a group, rounded up: an inode's number is made of them.
    let inodeShift: UInt64
    let groupShift: UInt64
    let folderBlockSize: Int
    let root: UInt64
    /// Version 5: everything has a CRC-32C and says what it is.
    let hasChecksums: Bool
    let hasFileTypes: Bool
    let hasSparseInodes: Bool
    /// The UUID that metadata carries.
    let uuid: [UInt8]
    /// Inodes of the filesystem's own.
    let ownInodes: Set<UInt64>
    /// How many inodes are in use by its counters (`sb_icount`, `sb_ifree`).
    let usedInodes: UInt64
    /// Whether its own checksum is right, or it has none.
    let isRight: Bool

    /// - Parameter block: 512 bytes.
    init?(superblock block: Bytes) {
        guard block.count == 512, block.be32(0) == 0x5846_5342 else { return nil }
        blockSize = UInt64(block.be32(4))
        blocksPerGroup = UInt64(block.be32(84))
        groupCount = UInt64(block.be32(88))
        sectorSize = UInt64(block.be16(102))
        inodeSize = Int(block.be16(104))
        inodesPerBlock = UInt64(block.be16(106))
        inodeShift = UInt64(block.u8(123))
        groupShift = UInt64(block.u8(124))
        root = block.be64(56)
        let version = block.be16(100)
        hasChecksums = version & 0xF == 5
        let features = hasChecksums ? block.be32(216) : 0
        hasFileTypes = hasChecksums ? features & 0x1 != 0 : block.be32(200) & 0x200 != 0
        hasSparseInodes = features & 0x2 != 0
        uuid = Array(block.part(features & 0x4 != 0 ? 248 : 32, 16).all)
        var own: Set<UInt64> = [block.be64(64), block.be64(72)]
        // Quota inodes, where the version has them.
        if version & 0x40 != 0 || hasChecksums { own.formUnion([block.be64(160), block.be64(168), block.be64(232)]) }
        ownInodes = own
        let counts = (all: block.be64(128), free: block.be64(136))
        usedInodes = counts.all - min(counts.all, counts.free)
        let folderShift = Int(block.u8(192))
        folderBlockSize = folderShift <= 8 ? Int(blockSize) << folderShift : 0
        isRight = !hasChecksums || block.le32(224) == ~block.crc32c(seed: ~0, hole: 224..<228)
        guard isPlausible else { return nil }
    }

    private var isPlausible: Bool {
        guard blockSize >= 512, blockSize <= 65536, blockSize.nonzeroBitCount == 1, sectorSize >= 512,
            sectorSize <= 32768,
            sectorSize.nonzeroBitCount == 1, inodeSize >= 256, inodeSize <= 2048, inodeSize.nonzeroBitCount == 1
        else { return false }
        guard inodesPerBlock == blockSize / UInt64(inodeSize), inodesPerBlock > 0, inodeShift < 16,
            1 << inodeShift == inodesPerBlock, blocksPerGroup > 0, groupShift < 32, blocksPerGroup <= 1 << groupShift
        else { return false }
        return groupCount > 0 && groupCount <= 1 << 24 && folderBlockSize > 0 && folderBlockSize <= 65536
    }

    /// Where a block is, in bytes, by its number in the filesystem; nil for one that can't be.
    func place(ofBlock block: UInt64) -> UInt64? {
        let group = block >> groupShift
        let within = block & (1 << groupShift - 1)
        guard group < groupCount, within < blocksPerGroup else { return nil }
        return (group * blocksPerGroup + within) * blockSize
    }

    /// Where a block of a group is, in bytes.
    func place(ofBlock block: UInt64, in group: UInt64) -> UInt64 { (group * blocksPerGroup + block) * blockSize }

    /// Where an inode is, in bytes; nil for a number that none can have.
    func place(ofInode number: UInt64) -> UInt64? {
        guard number >> (groupShift + inodeShift) < groupCount else { return nil }
        return place(ofBlock: number >> inodeShift).map {
            $0 + number & (1 << inodeShift - 1) * UInt64(inodeSize)
        }
    }

    /// The number of an inode in a group.
    func inode(_ number: UInt64, in group: UInt64) -> UInt64 { group << (groupShift + inodeShift) | number }
}
