/// How much of the device a filesystem says it occupies. libblkid tells since 2.39 only, and then without the
/// filesystem's own overhead: so it is read here, from the documented places of the superblocks.
enum FilesystemSize {
    /// The size in bytes, or nil for a type we don't know, and for numbers that overflow.
    static func read(_ type: String, of region: Region) -> UInt64? {
        switch type {
        case "ext2", "ext3", "ext4", "ext4dev": ext(region)
        case "xfs": xfs(region)
        case "btrfs": btrfs(region)
        case "vfat": vfat(region)
        case "ntfs": ntfs(region)
        default: nil
        }
    }

    /// struct ext4_super_block in the kernel's fs/ext4/ext4.h.
    private static func ext(_ region: Region) -> UInt64? {
        guard let block = region.bytes(at: 1024, count: 1024) else { return nil }
        let logarithm = block.littleEndian(at: 0x18, count: 4)
        guard logarithm <= 6 else { return nil }
        var blocks = block.littleEndian(at: 0x04, count: 4)
        let has64Bits = block.littleEndian(at: 0x60, count: 4) & 0x80 != 0
        if has64Bits {
            blocks |= block.littleEndian(at: 0x150, count: 4) << 32
        }
        return product(blocks, 1024 << logarithm)
    }

    /// struct xfs_dsb in the kernel's fs/xfs/libxfs/xfs_format.h; big endian.
    private static func xfs(_ region: Region) -> UInt64? {
        guard let block = region.bytes(at: 0, count: 512) else { return nil }
        let size = block[4..<8].reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        let blocks = block[8..<16].reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        return product(blocks, size)
    }

    /// `total_bytes` of the superblock's dev_item: this device's share (include/uapi/linux/btrfs_tree.h).
    private static func btrfs(_ region: Region) -> UInt64? {
        region.bytes(at: 0x10000, count: 4096)?.littleEndian(at: 0xD1, count: 8)
    }

    /// The BIOS parameter block.
    private static func vfat(_ region: Region) -> UInt64? {
        guard let block = region.bytes(at: 0, count: 512) else { return nil }
        let small = block.littleEndian(at: 19, count: 2)
        return product(small != 0 ? small : block.littleEndian(at: 32, count: 4), block.littleEndian(at: 11, count: 2))
    }

    /// The BIOS parameter block; its count leaves out the backup boot sector behind the filesystem.
    private static func ntfs(_ region: Region) -> UInt64? {
        guard let block = region.bytes(at: 0, count: 512) else { return nil }
        let (sectors, overflow) = block.littleEndian(at: 0x28, count: 8).addingReportingOverflow(1)
        return overflow ? nil : product(sectors, block.littleEndian(at: 11, count: 2))
    }

    private static func product(_ blocks: UInt64, _ size: UInt64) -> UInt64? {
        let (bytes, overflow) = blocks.multipliedReportingOverflow(by: size)
        return overflow ? nil : bytes
    }
}

extension [UInt8] {
    /// An unsigned number of `count` bytes; the caller has made sure that they exist.
    fileprivate func littleEndian(at index: Int, count: Int) -> UInt64 {
        self[index..<(index + count)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
