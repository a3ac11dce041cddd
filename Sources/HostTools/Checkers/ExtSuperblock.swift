import SystemPackage

/// The little that we read ourselves of an ext2/3/4 superblock.
/// Layout: the kernel's `Documentation/filesystems/ext4/super.rst`.
public struct ExtSuperblock: Hashable, Sendable {
    /// Whether the journal holds changes that a repairing run replays: e2fsck then exits 0 although it changed a lot.
    public let needsReplay: Bool
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
}
