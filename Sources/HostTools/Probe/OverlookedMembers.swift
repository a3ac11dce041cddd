/// Superblocks of arrays that libblkid passes over.
///
/// libblkid looks at the few places that follow from the size which a device has now. The metadata of an array at the end of a disk
/// whose image has grown since lies elsewhere, a DDF anchor without its primary header is passed over, and FreeBSD's GEOM
/// is unknown to it. Any of them says that what lies in front of it is one member's copy.
enum OverlookedMembers {
    /// Bytes that are searched behind the content. An array's metadata follows its content at once: MD keeps 128 KiB at
    /// most for a bitmap between them (`choose_bm_space` in mdadm's super1.c), and a table leaves up to 1 MiB at its end.
    private static let searchLength: UInt64 = 2 << 20
    private static let sector: UInt64 = 512

    /// The first one of a region, or nil.
    ///
    /// - Parameter contentEnd: where the last partition or the filesystem ends, in bytes from the region's start; nil where
    ///   that isn't known. Only the free space behind it is searched: what lies in a filesystem may be a file's content.
    static func signature(in region: Region, behind contentEnd: UInt64?) -> Signature? {
        for size in Set([sector, UInt64(region.sectorSize)]).sorted() where region.length >= size {
            let last = (region.length / size - 1) * size
            if let found = region.bytes(at: last, count: Int(sector)).flatMap({ geom($0[...]) ?? ddf($0[...]) }) {
                return found.at(last)
            }
        }
        guard let contentEnd, contentEnd < region.length else { return nil }
        let start = (contentEnd + sector - 1) / sector * sector
        guard start < region.length else { return nil }
        let length = min(searchLength, region.length - start) / sector * sector
        guard let bytes = region.bytes(at: start, count: Int(length)) else { return nil }
        for index in stride(from: 0, to: bytes.count, by: Int(sector)) {
            let position = start + UInt64(index)
            // No superblock is recognised by anything behind its first 256 bytes.
            let block = bytes[index..<(index + 256)]
            if let found = md(block, at: position) ?? isw(block) ?? ddf(block) ?? geom(block)
                ?? drbd(block, at: position)
            {
                return found.at(position)
            }
        }
        return nil
    }

    /// `struct mdp_superblock_1` and `struct mdp_superblock_s` in the kernel's include/uapi/linux/raid/md_p.h. The newer one
    /// says itself where it is; the older one is at a multiple of 64 KiB.
    private static func md(_ block: ArraySlice<UInt8>, at position: UInt64) -> Signature? {
        let magic: UInt64 = 0xa92b_4efc
        guard block.number(at: 0, count: 4) == magic else { return nil }
        var signature = Signature(type: "linux_raid_member", usage: .raid)
        let (major, minor) = (block.number(at: 4, count: 4), block.number(at: 8, count: 4))
        if major == 1, block.number(at: 144, count: 8) == position / sector {
            signature.version = "1"
            signature.label = block.text(at: 32, count: 32)
            signature.uuid = block.uuid(at: 16)
            return signature
        }
        guard major == 0, minor == 90 || minor == 91, position % 0x10000 == 0 else { return nil }
        signature.version = "0.\(minor)"
        return signature
    }

    /// `struct imsm_super` in mdadm's super-intel.c.
    private static func isw(_ block: ArraySlice<UInt8>) -> Signature? {
        block.starts(with: "Intel Raid ISM Cfg Sig. ".utf8) ? Signature(type: "isw_raid_member", usage: .raid) : nil
    }

    /// The header of SNIA's Common RAID Disk Data Format, in either byte order: its signature, and a revision `01.02.00`
    /// behind checksum and GUID. libblkid takes it only where the primary header stands where the anchor says.
    private static func ddf(_ block: ArraySlice<UInt8>) -> Signature? {
        guard block.starts(with: [0xde, 0x11, 0xde, 0x11]) || block.starts(with: [0x11, 0xde, 0x11, 0xde]),
            let revision = block.text(at: 32, count: 8), revision.allSatisfy({ $0.isNumber || $0 == "." })
        else { return nil }
        return Signature(type: "ddf_raid_member", usage: .raid, version: revision)
    }

    /// `struct meta_data_on_disk_84` and its predecessors in the kernel's drivers/block/drbd/drbd_main.c: big endian, in blocks of 4 KiB,
    /// with one of three magic numbers behind seven numbers of 64 bits and one of 32.
    private static func drbd(_ block: ArraySlice<UInt8>, at position: UInt64) -> Signature? {
        let magic = block.dropFirst(60).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard position % 4096 == 0, (0x8374_026B...0x8374_026D).contains(magic) else { return nil }
        return Signature(type: "drbd", usage: .raid)
    }

    /// GEOM(4) keeps the metadata of a class in the last sector: `GEOM::MIRROR`, a version, and the name
    /// (`struct g_mirror_metadata` in FreeBSD's sys/geom/mirror/g_mirror.h). A label (glabel(8)) makes a member of nothing.
    private static func geom(_ block: ArraySlice<UInt8>) -> Signature? {
        guard block.starts(with: "GEOM::".utf8), let type = block.text(at: 0, count: 16), type != "GEOM::LABEL" else {
            return nil
        }
        guard type != "GEOM::ELI" else { return Signature(type: type, usage: .crypto) }
        return Signature(type: type, usage: .raid, label: block.text(at: 20, count: 16))
    }
}

extension Signature {
    fileprivate func at(_ offset: UInt64) -> Signature {
        var signature = self
        signature.offset = offset
        return signature
    }
}

extension ArraySlice<UInt8> {
    /// An unsigned number in little endian; the caller has made sure that its bytes exist.
    fileprivate func number(at offset: Int, count: Int) -> UInt64 {
        field(at: offset, count: count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// A text that ends at its first zero byte, or nil where there is none.
    fileprivate func text(at offset: Int, count: Int) -> String? {
        let text = String(decoding: field(at: offset, count: count).prefix { $0 != 0 }, as: UTF8.self)
        return text.isEmpty ? nil : text
    }

    /// 16 bytes as libblkid prints a UUID.
    fileprivate func uuid(at offset: Int) -> String {
        field(at: offset, count: 16).enumerated().map { index, byte in
            ([4, 6, 8, 10].contains(index) ? "-" : "") + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    private func field(at offset: Int, count: Int) -> ArraySlice<UInt8> {
        self[(startIndex + offset)..<(startIndex + offset + count)]
    }
}
