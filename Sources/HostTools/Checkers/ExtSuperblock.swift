public import SystemPackage

/// The little that we read ourselves of an ext2/3/4 superblock.
/// Layout: the kernel's `Documentation/filesystems/ext4/super.rst`.
public struct ExtSuperblock: Hashable, Sendable {
    /// Whether the journal holds changes that a repairing run replays: e2fsck then exits 0 although it changed a lot.
    public let needsReplay: Bool
    /// What it, or the journal, says of errors that the kernel met: every boot of the guest forces a check, or complains. nil where
    /// they say nothing.
    public let errorRecord: String?
    /// Inodes in use, files and folders; from the guest, so it may be any number.
    public let usedInodes: UInt32
    /// Features that e2fsck 1.47 refuses to work with, by its own names.
    public let unknownFeatures: [String]

    /// Reads the superblock of the filesystem that starts at byte 0 of a device or file; nil where there is none.
    ///
    /// - Throws: `Errno` when it can't be read.
    public init?(device path: String) throws {
        let device = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec])
        defer { try? device.close() }
        var block = [UInt8](repeating: 0, count: 2048)
        let count = try block.withUnsafeMutableBytes { try device.read(fromAbsoluteOffset: 0, into: $0) }
        guard count == block.count else { return nil }
        func littleEndian(at offset: Int, bytes: Int) -> UInt32 {
            (0..<bytes).reduce(0) { $0 | UInt32(block[1024 + offset + $1]) << (8 * UInt32($1)) }
        }
        guard littleEndian(at: 0x38, bytes: 2) == 0xEF53 else { return nil }
        let errorCount = littleEndian(at: 0x194, bytes: 4)
        errorRecord =
            if errorCount > 0 {
                "\(errorCount) errors were met"
            } else if littleEndian(at: 0x3A, bytes: 2) & 0x2 != 0 {
                "it says that errors were met"
            } else if Self.journalHasError(device, { littleEndian(at: $0, bytes: $1) }) {
                "its journal says that an error was met"
            } else {
                nil
            }
        let inodes = littleEndian(at: 0x00, bytes: 4)
        let freeInodes = littleEndian(at: 0x10, bytes: 4)
        needsReplay = littleEndian(at: 0x60, bytes: 4) & 0x4 != 0
        usedInodes = freeInodes <= inodes ? inodes - freeInodes : 0
        unknownFeatures = Self.featureSets.flatMap { set in
            let bits = littleEndian(at: set.offset, bytes: 4) & ~set.known
            return (0..<32).filter { bits >> $0 & 1 != 0 }.map { set.names[$0] ?? "FEATURE_\(set.letter)\($0)" }
        }
    }

    /// A word of features in the superblock: the bits that e2fsck knows (EXT2_LIB_FEATURE_…_SUPP of ext2fs.h, as e2fsck 1.47 was
    /// seen to take them), and names of others. Without a name e2fsprogs calls a bit `FEATURE_C14`.
    private static var featureSets: [(letter: String, offset: Int, known: UInt32, names: [Int: String])] {
        [
            ("C", 0x5C, 0x1E3F, [6: "lazy_bg", 8: "snapshot_bitmap"]),
            ("I", 0x60, 0x3_E7D6, [0: "compression", 3: "journal_dev", 12: "dirdata"]),
            ("R", 0x64, 0x1_F77B, [11: "replica"]),
        ]
    }

    /// Whether the superblock's first copy is there, so that nothing was put over the filesystem's place; also where it has none.
    ///
    /// - Parameters:
    ///   - device: which begins with the filesystem.
    ///   - size: of the device, in bytes.
    /// - Throws: `Errno` when it can't be read.
    public static func hasCopy(on device: FileDescriptor, size: UInt64) throws -> Bool {
        guard let geometry = ExtGeometry(superblock: Bytes(try Files.bytes(of: device, at: 1024, count: 1024))),
            let group = geometry.backups.first
        else { return true }
        let place = geometry.start(of: group)
        guard place < size, size - place >= 1024 else { return true }
        let copy = Bytes(try Files.bytes(of: device, at: place, count: 1024))
        return copy.le16(0x38) == 0xEF53 && copy.part(0x68, 16).all.elementsEqual(geometry.uuid)
    }

    /// Whether the journal's superblock keeps an error (`s_errno` of the kernel's `Documentation/filesystems/ext4/journal.rst`), found by
    /// what the superblock remembers of its inode's blocks (`s_jnl_blocks`): their first, by a map or by extents without a tree.
    private static func journalHasError(
        _ device: FileDescriptor, _ littleEndian: (Int, Int) -> UInt32
    ) -> Bool {
        let blocks = 0x10C
        guard littleEndian(0x5C, 4) & 0x4 != 0, littleEndian(0xFD, 1) == 1, littleEndian(0x18, 4) <= 6 else {
            return false
        }
        var block = UInt64(littleEndian(blocks, 4))
        if littleEndian(blocks, 2) == 0xF30A {
            guard littleEndian(blocks + 6, 2) == 0, littleEndian(blocks + 12, 4) == 0 else { return false }
            block = UInt64(littleEndian(blocks + 18, 2)) << 32 | UInt64(littleEndian(blocks + 20, 4))
        }
        guard block < 1 << 44 else { return false }
        var head = [UInt8](repeating: 0, count: 0x24)
        // What can't be read is the checker's to say: it reads the same.
        let count = head.withUnsafeMutableBytes {
            try? device.read(fromAbsoluteOffset: Int64(block << (10 + UInt64(littleEndian(0x18, 4)))), into: $0)
        }
        // Big endian: its magic number, and the error.
        return count == head.count && head.starts(with: [0xC0, 0x3B, 0x39, 0x98]) && head[0x20...].contains { $0 != 0 }
    }
}
