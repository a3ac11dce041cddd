public import SystemPackage

/// The little that we read ourselves of an ext2/3/4 superblock.
/// Layout: the kernel's `Documentation/filesystems/ext4/super.rst`.
public enum ExtSuperblock {
    /// Whether the journal holds changes that a repairing run replays: e2fsck then exits 0 although it changed a lot.
    ///
    /// - Parameter device: open for reading, the filesystem starting at its byte 0.
    /// - Throws: `Errno` when the device can't be read.
    public static func needsReplay(on device: FileDescriptor) throws(Errno) -> Bool {
        var block = [UInt8](repeating: 0, count: 4096)
        let count: Int
        do {
            count = try block.withUnsafeMutableBytes { try device.read(fromAbsoluteOffset: 0, into: $0) }
        } catch let error as Errno {
            throw error
        } catch {
            throw .ioError
        }
        guard count >= 2048 else { return false }
        let superblock = block[1024..<2048]
        func littleEndian(at offset: Int, bytes: Int) -> UInt32 {
            (0..<bytes).reduce(0) { $0 | UInt32(superblock[1024 + offset + $1]) << (8 * UInt32($1)) }
        }
        let magic = littleEndian(at: 0x38, bytes: 2)
        let incompatibleFeatures = littleEndian(at: 0x60, bytes: 4)
        return magic == 0xEF53 && incompatibleFeatures & 0x4 != 0
    }
}
