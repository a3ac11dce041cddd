import SystemPackage

/// The little that we read ourselves of an ext2/3/4 superblock.
/// Layout: the kernel's `Documentation/filesystems/ext4/super.rst`.
public struct ExtSuperblock: Hashable, Sendable {
    /// Whether the journal holds changes that a repairing run replays: e2fsck then exits 0 although it changed a lot.
    public let needsReplay: Bool
    /// Inodes in use, files and folders; from the guest, so it may be any number.
    public let usedInodes: UInt32

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
    }
}
