import CBlkid
import Glibc
import SystemPackage

/// A `blkid_probe`, freed with its owner. Each reading takes a fresh one: what was found before changes what libblkid looks
/// at next.
struct Prober: ~Copyable {
    private let probe: blkid_probe

    init(_ region: Region) throws(ProbeError) {
        guard let probe = blkid_new_probe() else { throw .failed(call: "blkid_new_probe", code: .noMemory) }
        let offset = blkid_loff_t(region.offset)
        let length = blkid_loff_t(region.length)
        // The order matters: setting the device resets the sector size.
        guard blkid_probe_set_device(probe, region.descriptor.rawValue, offset, length) == 0,
            blkid_probe_set_sectorsize(probe, UInt32(region.sectorSize)) == 0
        else {
            let error = ProbeError.failed(call: "blkid_probe_set_device")
            blkid_free_probe(probe)
            throw error
        }
        self.probe = probe
    }

    deinit {
        blkid_free_probe(probe)
    }

    /// All superblocks. (libblkid's safe probing would stop at the first RAID member, and refuse two filesystems.)
    borrowing func signatures() throws(ProbeError) -> [Signature] {
        // A superblock with a wrong checksum is one that a checker can repair: it must be seen.
        let flags =
            BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_VERSION
            | BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM
        blkid_probe_enable_partitions(probe, 0)
        guard blkid_probe_enable_superblocks(probe, 1) == 0, blkid_probe_set_superblocks_flags(probe, flags) == 0 else {
            throw .failed(call: "blkid_probe_enable_superblocks")
        }
        var found: [Signature] = []
        while true {
            errno = 0
            switch blkid_do_probe(probe) {
            case 0: if let signature { found.append(signature) }
            case 1: return found
            default: throw .failed(call: "blkid_do_probe")
            }
        }
    }

    private var signature: Signature? {
        guard let type = value("TYPE") else { return nil }
        return Signature(
            type: type,
            usage: value("USAGE").flatMap(Signature.Usage.init) ?? .other,
            label: value("LABEL"),
            uuid: value("UUID"),
            version: value("VERSION"),
            blockSize: value("BLOCK_SIZE").flatMap { Int($0) },
            offset: value("SBMAGIC_OFFSET").flatMap { UInt64($0) },
            hasBadChecksum: blkid_probe_has_value(probe, "SBBADCSUM") == 1)
    }

    private func value(_ name: String) -> String? {
        var data: UnsafePointer<CChar>?
        var length = 0
        guard blkid_probe_lookup_value(probe, name, &data, &length) == 0, let data else { return nil }
        let text = UnsafeRawBufferPointer(start: data, count: length).prefix { $0 != 0 }
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
    }

    /// The name of the partition table, or nil where there is none. Knows one more than ``partitionTable()``: `PMBR`.
    borrowing func partitionTableType() throws(ProbeError) -> String? {
        blkid_probe_enable_superblocks(probe, 0)
        guard blkid_probe_enable_partitions(probe, 1) == 0 else {
            throw .failed(call: "blkid_probe_enable_partitions")
        }
        errno = 0
        switch blkid_do_probe(probe) {
        case 0: return value("PTTYPE")
        case 1: return nil
        default: throw .failed(call: "blkid_do_probe")
        }
    }

    /// The partition table, or nil where there is none.
    borrowing func partitionTable() throws(ProbeError) -> PartitionTable? {
        blkid_probe_enable_superblocks(probe, 0)
        guard blkid_probe_enable_partitions(probe, 1) == 0,
            blkid_probe_set_partitions_flags(probe, BLKID_PARTS_ENTRY_DETAILS) == 0
        else {
            throw .failed(call: "blkid_probe_enable_partitions")
        }
        errno = 0
        guard let list = blkid_probe_get_partitions(probe) else {
            // NULL is "nothing found" as well as "could not read": only errno tells.
            guard errno == 0 else { throw .failed(call: "blkid_probe_get_partitions") }
            return nil
        }
        guard let table = blkid_partlist_get_table(list), let type = text(blkid_parttable_get_type(table)) else {
            return nil
        }
        let partitions = (0..<max(0, blkid_partlist_numof_partitions(list))).compactMap { index in
            blkid_partlist_get_partition(list, index).flatMap { partition($0) }
        }
        let kind: PartitionTable.Kind =
            switch type {
            case "dos": .mbr
            case "gpt": .gpt
            default: .other
            }
        return PartitionTable(
            kind: kind, type: type, identifier: text(blkid_parttable_get_id(table)), partitions: partitions)
    }

    private func partition(_ partition: blkid_partition) -> Partition? {
        // libblkid counts in units of 512 bytes whatever the sector size, see blkid_partition_get_start.
        guard let start = bytes(blkid_partition_get_start(partition)),
            let size = bytes(blkid_partition_get_size(partition))
        else { return nil }
        let type = text(blkid_partition_get_type_string(partition))?.lowercased()
        let number = UInt8(truncatingIfNeeded: blkid_partition_get_type(partition))
        return Partition(
            number: Int(blkid_partition_get_partno(partition)),
            start: start,
            size: size,
            type: type ?? "0x" + (number < 16 ? "0" : "") + String(number, radix: 16),
            uuid: text(blkid_partition_get_uuid(partition)),
            isContainer: blkid_partition_is_extended(partition) == 1,
            isLogical: blkid_partition_is_logical(partition) == 1,
            name: text(blkid_partition_get_name(partition)))
    }

    private func bytes(_ sectors: blkid_loff_t) -> UInt64? {
        guard let sectors = UInt64(exactly: sectors) else { return nil }
        let (bytes, overflow) = sectors.multipliedReportingOverflow(by: 512)
        return overflow ? nil : bytes
    }

    private func text(_ pointer: UnsafePointer<CChar>?) -> String? {
        guard let pointer else { return nil }
        let text = String(cString: pointer)
        return text.isEmpty ? nil : text
    }
}

extension ProbeError {
    /// The failure of a call that has just returned; libblkid leaves errno 0 where it has nothing better.
    fileprivate static func failed(call: String) -> ProbeError {
        .failed(call: call, code: Errno(rawValue: errno == 0 ? EIO : errno))
    }
}
