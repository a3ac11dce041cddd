import HostTools

/// What a disk has for the firmware that boots from it.
struct DiskFacts: Hashable, Sendable {
    /// The guest's name for it: `vda`.
    var target: String
    /// The first 512 bytes; empty where they could not be read.
    var bootRecord: [UInt8]
    /// Its partition table; nil where it has none.
    var table: PartitionTable?

    /// Whether a BIOS takes it for bootable: the signature at the end, and code at the beginning (440 bytes in an MBR).
    var hasBootCode: Bool {
        bootRecord.count == 512 && bootRecord[510] == 0x55 && bootRecord[511] == 0xAA
            && bootRecord[..<440].contains { $0 != 0 }
    }

    /// Whether the code looks for its next part by itself, and not in the active partition.
    var isSelfContained: Bool { holds("GRUB") || holds("LILO") }

    /// Whether a partition of the MBR is active: 0x80 in the first of the 16 bytes of its entry, from byte 446 on.
    var hasActivePartition: Bool {
        bootRecord.count == 512 && (0..<4).contains { bootRecord[446 + 16 * $0] == 0x80 }
    }

    /// Whether a text stands in the boot record.
    func holds(_ text: String) -> Bool { bootRecord.firstRange(of: Array(text.utf8)) != nil }

    /// Whether it has a partition of this type: a GUID in lower case, or `0xef`.
    func hasPartition(ofType type: String) -> Bool {
        table?.partitions.contains { $0.type.lowercased() == type } ?? false
    }
}
