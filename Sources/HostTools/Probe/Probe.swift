import CBlkid
public import SystemPackage

/// Recognises what is on a device, in this process, with libblkid's low-level probing: no cache, no udev, no device names.
public enum Probe {
    /// Reads the partition table and all superblocks of a region.
    ///
    /// Blocks while it reads, a few hundred kilobytes at most. The descriptor's file offset and its access-pattern advice
    /// change.
    ///
    /// - Parameters:
    ///   - descriptor: a block device or a file, open for reading.
    ///   - offset: first byte of the region.
    ///   - length: its length in bytes.
    ///   - sectorSize: the logical sector size in bytes (512 or 4096) that the guest sees: a partition table counts in it.
    /// - Throws: a region that isn't there, and read errors.
    public static func inspect(
        _ descriptor: FileDescriptor, offset: UInt64 = 0, length: UInt64, sectorSize: Int = 512
    ) throws(ProbeError) -> ProbeResult {
        let region = try Region(descriptor, offset: offset, length: length, sectorSize: sectorSize)
        var signatures = try allSignatures(of: region)
        var table = try partitionTable(of: region)
        // A boot sector with 55 AA at its end in front of a filesystem (extlinux on a whole disk) is an empty table to
        // libblkid; one that no partition is in has nothing to say.
        if let found = table, found.kind == .mbr, found.partitions.isEmpty, !signatures.isEmpty {
            table = nil
        }
        let ends = table?.partitions.map { $0.start.addingReportingOverflow($0.size).partialValue }
        let contentEnd = (ends ?? signatures.compactMap(\.filesystemSize)).filter { $0 <= length }.max()
        if let member = OverlookedMembers.signature(in: region, behind: contentEnd),
            !signatures.contains(where: { $0.type == member.type })
        {
            signatures.insert(member, at: 0)
        }
        return ProbeResult(
            partitionTable: table, signatures: signatures,
            hasNTFSBootSector: hasNTFSBootSector(region, isBlank: signatures.isEmpty))
    }

    /// The OEM ID of an NTFS boot sector; its copy is in the volume's last sector. Another filesystem that was made in place of
    /// an NTFS may have left the copy.
    private static func hasNTFSBootSector(_ region: Region, isBlank: Bool) -> Bool {
        let sector = UInt64(region.sectorSize)
        let copy = isBlank && region.length >= sector ? (region.length / sector - 1) * sector : 0
        return Set([0, copy]).contains { region.bytes(at: $0 + 3, count: 8) == Array("NTFS    ".utf8) }
    }

    private static func allSignatures(of region: Region) throws(ProbeError) -> [Signature] {
        try Prober(region).signatures().map { signature in
            var signature = signature
            signature.filesystemSize = FilesystemSize.read(signature.type, of: region)
            return signature
        }
    }

    private static func partitionTable(of region: Region) throws(ProbeError) -> PartitionTable? {
        if let table = try Prober(region).partitionTable() { return table }
        let type = try Prober(region).partitionTableType()
        return type.map { PartitionTable(kind: .other, type: $0) }
    }
}

/// A part of a device that was found to be there.
struct Region {
    let descriptor: FileDescriptor
    let offset: UInt64
    let length: UInt64
    let sectorSize: Int

    init(
        _ descriptor: FileDescriptor, offset: UInt64, length: UInt64, sectorSize: Int
    ) throws(ProbeError) {
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard length > 0, !overflow, end <= UInt64(Int64.max), sectorSize >= 512, sectorSize <= 65536 else {
            throw .invalidRegion(offset: offset, length: length)
        }
        let size: UInt64
        do {
            size = UInt64(try descriptor.seek(offset: 0, from: .end))
        } catch {
            throw .failed(call: "lseek", code: error as? Errno ?? .ioError)
        }
        guard end <= size else { throw .regionPastEnd(offset: offset, length: length, size: size) }
        self.descriptor = descriptor
        self.offset = offset
        self.length = length
        self.sectorSize = sectorSize
    }

    /// The bytes from `position` of the region on, or nil where it is too short or can't be read.
    func bytes(at position: UInt64, count: Int) -> [UInt8]? {
        guard position <= length, UInt64(count) <= length - position else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let from = Int64(offset + position) + Int64(filled)
            let got = bytes.withUnsafeMutableBytes { buffer in
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
                return try? descriptor.read(fromAbsoluteOffset: from, into: rest)
            }
            guard let got, got > 0 else { return nil }
            filled += got
        }
        return bytes
    }
}
