import HostTools

extension Volume.Content {
    /// What a region holds, judged by the signatures that libblkid found in it. Pure.
    init(signatures: [Signature]) {
        guard let first = signatures.first else {
            self = .unclear(
                type: "", why: "no filesystem signature found: empty, or its superblock is destroyed")
            return
        }
        let types = signatures.map(\.type)
        if types == ["LVM2_member"] {
            self = .physicalVolume
            return
        }
        // What is a filesystem of its own kind as well, and alone, is named as that.
        if let member = signatures.first(where: \.isMember), signatures.count > 1 || member.usage != .filesystem {
            let others = types.filter { $0 != member.type }
            let remark = others.isEmpty ? "" : " (there are signatures of \(others.joined(separator: " and ")), too)"
            self = .unclear(type: member.type, why: member.membership + remark)
            return
        }
        guard signatures.count == 1 else {
            self = .unclear(
                type: first.type,
                why:
                    "holds signatures of \(types.joined(separator: " and ")): it can't be told which is meant; boot the "
                    + "guest and see which of them it uses")
            return
        }
        switch first.type {
        case "swap":
            self = .nothingToCheck(type: "swap", why: "swap space")
        case "cramfs", "erofs", "iso9660", "romfs", "squashfs", "squashfs3":
            self = .nothingToCheck(type: first.type, why: "\(first.type) is read-only: it was made like this")
        case "swsuspend", "suspend":
            self = .unclear(
                type: first.type,
                why: "holds a hibernated system, whose memory knows the old filesystems: boot it first")
        case let type where Checker(filesystem: type) != nil:
            self = .filesystem(type: type)
        case let type:
            self = .unsupported(type: type, why: Self.wayOut(for: type))
        }
    }

    private static func wayOut(for type: String) -> String {
        switch type {
        case "btrfs": "virt-fsck can't check btrfs; in the guest: btrfs check (package btrfs-progs)"
        case "ntfs": "virt-fsck can't check ntfs; in Windows: chkdsk"
        case "zfs_member": "is a member of a ZFS pool; virt-fsck can't check zfs; in the guest: zpool scrub"
        case "exfat": "virt-fsck can't check exfat; in the guest: fsck.exfat (package exfatprogs)"
        case "f2fs": "virt-fsck can't check f2fs; in the guest: fsck.f2fs (package f2fs-tools)"
        default: "virt-fsck has no checker for \(type)"
        }
    }
}

extension Signature {
    /// That a filesystem claims to be larger than the volume that holds it, in words; nil where it fits.
    func overrun(of size: UInt64) -> String? {
        guard let filesystemSize, filesystemSize > size else { return nil }
        return "the filesystem claims \(filesystemSize) bytes, its volume has \(size)"
    }
}

/// What is wrong with the places that a partition table names. Pure.
enum PartitionPlacement {
    /// For each partition that must not be touched, by number: why.
    static func problems(of partitions: [Partition], diskSize: UInt64) -> [Int: String] {
        var problems: [Int: String] = [:]
        let real = partitions.filter { !$0.isContainer }
        for partition in real {
            let (end, overflow) = partition.start.addingReportingOverflow(partition.size)
            if overflow || end > diskSize {
                let missing = overflow ? "far" : "\(end - diskSize) bytes"
                problems[partition.number] = "reaches \(missing) past the end of the disk: is the image truncated?"
            } else if partition.size == 0 {
                problems[partition.number] = "has no size"
            } else if partition.start == 0 {
                problems[partition.number] = "begins at the partition table itself"
            } else if partition.start % 512 != 0 || partition.size % 512 != 0 {
                problems[partition.number] = "does not begin and end at a sector"
            }
        }
        let sorted = real.filter { $0.size > 0 }.sorted { $0.start < $1.start }
        for (index, one) in sorted.enumerated() {
            for other in sorted[(index + 1)...] {
                guard other.start - one.start < one.size else { break }
                problems[one.number] = problems[one.number] ?? "overlaps partition \(other.number)"
                problems[other.number] = problems[other.number] ?? "overlaps partition \(one.number)"
            }
        }
        return problems
    }

    /// Partition types that hold no filesystem, with what they are (GPT: the UEFI specification and systemd's
    /// Discoverable Partitions; MBR: fdisk's list).
    static func purposeWithoutFilesystem(of partition: Partition) -> String? {
        switch partition.type.lowercased() {
        case "21686148-6449-6e6f-744e-656564454649": "BIOS boot partition"
        case "83bd6b9d-7f41-11dc-be0b-001560b84f0f": "FreeBSD boot partition"
        case "516e7cb5-6ecf-11d6-8ff8-00022d09712b": "FreeBSD swap space"
        case "fe3a2a5d-4f32-41a7-b725-accc3285a309": "ChromeOS kernel"
        case "3de21764-95bd-54bd-a5c3-4abe786f38a8": "environment of U-Boot"
        case "5b193300-fc78-40cd-8002-e86c45580b47", "2e54b353-1271-4842-806f-e436d6af6985": "boot loader of RISC-V"
        case "9d275380-40ad-11db-bf97-000c2911d1b8": "VMware's place for crash dumps"
        case "8da63339-0007-60c0-c436-083ac8230908", "2e0a753d-9e48-43b0-8337-b15192cb1b5e",
            "9198effc-31c0-11db-8f78-000c2911d1b8", "6a945a3b-1dd2-11b2-99a6-080020736631":
            "reserved partition"
        case "9e1a2d38-c612-4316-aa26-8b49521e5a8b", "0x41": "PReP boot partition"
        case "e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved partition"
        default: nil
        }
    }

    /// What a partition belongs to, by its type alone: of Windows's dynamic disks and storage spaces libblkid knows no signature
    /// (GPT: winioctl.h's PARTITION_LDM_METADATA_GUID, PARTITION_LDM_DATA_GUID and PARTITION_SPACES_GUID).
    static func membership(of partition: Partition) -> String? {
        switch partition.type.lowercased() {
        case "0x42", "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "af9b60a0-1431-4f62-bc68-3311714a69ad":
            "belongs to a dynamic disk of Windows, whose volumes may be mirrored; check them in Windows"
        case "e75caf8f-f680-4cee-afa3-b001e56efc2d":
            "belongs to a storage pool of Windows; check what is made of it in Windows"
        default: nil
        }
    }
}
