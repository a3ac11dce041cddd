/// What is on a block device or in a part of it, as its own bytes say. They were written by a guest: nothing here has been
/// checked for plausibility, and text is as it stands there (to be escaped before it reaches a terminal).
public struct ProbeResult: Hashable, Sendable, Codable {
    /// The partition table, or nil where there is none.
    public var partitionTable: PartitionTable?
    /// Every superblock found, in libblkid's order (RAID and volume managers before filesystems), also those of a disk that
    /// has a partition table: the disk may be one leg of a mirror. More than one means that nobody can tell what the device holds.
    public var signatures: [Signature]
    /// Whether a boot sector calls it NTFS, be the rest of that in order or not: libblkid recognises a sound one only.
    public var hasNTFSBootSector: Bool

    /// Makes a result; tests of the stages above do.
    public init(
        partitionTable: PartitionTable? = nil, signatures: [Signature] = [], hasNTFSBootSector: Bool = false
    ) {
        self.partitionTable = partitionTable
        self.signatures = signatures
        self.hasNTFSBootSector = hasNTFSBootSector
    }
}

/// A partition table with its entries as they stand in it.
public struct PartitionTable: Hashable, Sendable, Codable {
    /// The kinds that matter to us.
    public enum Kind: String, Hashable, Sendable, Codable {
        /// A master boot record, also called a DOS label.
        case mbr
        /// A GUID partition table.
        case gpt
        /// Something else; ``PartitionTable/type`` has its name.
        case other
    }

    /// Which kind it is.
    public var kind: Kind
    /// libblkid's name: `dos`, `gpt`, `mac`, … `PMBR` is a protective master boot record whose GPT is missing, damaged
    /// beyond both copies, written for another sector size, or larger than the device.
    public var type: String
    /// The disk identifier (MBR, hexadecimal without `0x`) or the disk GUID.
    public var identifier: String?
    /// The entries in the order of the table, extended (container) ones included. Entries may overlap or reach past the end
    /// of the device. Those of a GPT that lie outside the usable area of its header are missing: libblkid and the kernel
    /// ignore them.
    public var partitions: [Partition]

    /// Makes a table.
    public init(kind: Kind, type: String, identifier: String? = nil, partitions: [Partition] = []) {
        self.kind = kind
        self.type = type
        self.identifier = identifier
        self.partitions = partitions
    }
}

/// An entry of a partition table.
public struct Partition: Hashable, Sendable, Codable {
    /// The number that Linux gives it: the 1 of `vda1`.
    public var number: Int
    /// First byte, counted from the start of the probed region.
    public var start: UInt64
    /// Length in bytes.
    public var size: UInt64
    /// `0x83` for a master boot record, the type's GUID in lower case for a GPT.
    public var type: String
    /// The partition's own UUID, where the table has them (`PARTUUID`).
    public var uuid: String?
    /// Whether it is an extended partition: a container of logical ones, not a volume.
    public var isContainer: Bool
    /// Whether it lies in an extended partition.
    public var isLogical: Bool
    /// The name in a GPT, or nil where it has none.
    public var name: String?

    /// Makes an entry.
    public init(
        number: Int, start: UInt64, size: UInt64, type: String, uuid: String? = nil, isContainer: Bool = false,
        isLogical: Bool = false, name: String? = nil
    ) {
        self.number = number
        self.start = start
        self.size = size
        self.type = type
        self.uuid = uuid
        self.isContainer = isContainer
        self.isLogical = isLogical
        self.name = name
    }
}

/// A superblock that libblkid recognised.
public struct Signature: Hashable, Sendable, Codable {
    /// What the thing is for.
    public enum Usage: String, Hashable, Sendable, Codable {
        /// A filesystem.
        case filesystem
        /// A member of something larger: MD, LVM, a firmware RAID.
        case raid
        /// An encrypted volume.
        case crypto
        /// Swap, an external journal and the like.
        case other
    }

    /// libblkid's name: `ext4`, `vfat`, `xfs`, `swap`, `swsuspend`, `LVM2_member`, `linux_raid_member`, `crypto_LUKS`,
    /// `ntfs`, `btrfs`, …
    public var type: String
    /// What it is for.
    public var usage: Usage
    /// The label, or nil where it has none.
    public var label: String?
    /// The UUID in the form usual for the type.
    public var uuid: String?
    /// The version that the superblock states.
    public var version: String?
    /// How many bytes of the device the filesystem says are its own (ext2/3/4, xfs, btrfs, vfat, ntfs), or nil where we
    /// don't read that. More than the device has: truncated or wrongly mapped.
    public var filesystemSize: UInt64?
    /// Block size in bytes; for vfat and ntfs the sector size.
    public var blockSize: Int?
    /// Where the magic bytes are, in bytes from the start of the probed region.
    public var offset: UInt64?
    /// Whether the superblock's own checksum is wrong (where libblkid verifies one).
    public var hasBadChecksum: Bool

    /// Makes a signature.
    public init(
        type: String, usage: Usage, label: String? = nil, uuid: String? = nil, version: String? = nil,
        filesystemSize: UInt64? = nil, blockSize: Int? = nil, offset: UInt64? = nil, hasBadChecksum: Bool = false
    ) {
        self.type = type
        self.usage = usage
        self.label = label
        self.uuid = uuid
        self.version = version
        self.filesystemSize = filesystemSize
        self.blockSize = blockSize
        self.offset = offset
        self.hasBadChecksum = hasBadChecksum
    }
}
