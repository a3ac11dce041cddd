import HostTools
import SystemPackage

/// What bears the signature of a member (of an array, a volume group, a pool, an encrypted volume) holds a part of something
/// larger, or one copy of it. A filesystem that shows on it is not repaired there: the halves of a mirror would no longer agree.
extension Signature {
    /// Whether it is the signature of a member. libblkid's usage says so, but for a few types.
    var isMember: Bool { usage == .raid || usage == .crypto || Self.otherMembers.contains(type) }

    /// Members whose usage libblkid calls "filesystem" or "other".
    private static let otherMembers: Set = [
        "bcache", "bcachefs", "ceph_bluestore", "DM_snapshot_cow", "drbdmanage_control_volume", "drbdproxy_datalog",
        "oracleasm", "vdo", "zfs_member",
    ]

    /// Whether a whole disk beside whose partition table it stands may be that filesystem, and the table, with what lies where it
    /// says, content of a file. One of another day shows as its copies are gone; ISO images are both on purpose.
    func isFilesystem(on disk: FileDescriptor, size: UInt64) -> Bool {
        guard usage == .filesystem, !isMember, !["iso9660", "udf"].contains(type) else { return false }
        guard type.hasPrefix("ext") else { return true }
        return (try? ExtSuperblock.hasCopy(on: disk, size: size)) ?? true
    }

    /// What bears it beside a partition table …: the end of a sentence.
    var rivalry: String {
        "bears a filesystem itself (\(details)): it can't be told whether that or the partition table is meant; boot the guest and "
            + "see which of them it uses"
    }

    /// Whether only whole disks are members of it: arrays that a firmware makes.
    var isOfFirmware: Bool { type.hasSuffix("_raid_member") && type != "linux_raid_member" }

    /// What bears it is …, and what to do: the end of a sentence.
    var membership: String { "is \(whole) (\(details)); \(wayOut)" }

    private var whole: String {
        switch type {
        case "LVM1_member", "LVM2_member": "a physical volume of LVM"
        case "zfs_member": "a member of a ZFS pool"
        case "stratis": "a member of a Stratis pool"
        case "VMFS_volume_member": "a member of a VMFS datastore"
        case "drbd": "one side of a DRBD mirror"
        case "bcache": "a part of a bcache device"
        case "crypto_LUKS", "BitLocker", "cs_fvault2", "GEOM::ELI": "encrypted"
        case _ where isOfFirmware || type == "linux_raid_member" || type.hasPrefix("GEOM::"):
            "a member of a RAID array"
        default: "a part of something larger"
        }
    }

    private var details: String {
        let name = version.map { "\(type) \($0)" } ?? type
        return ([name] + [label.map { "label \($0)" }, uuid.map { "UUID \($0)" }].compactMap(\.self))
            .joined(separator: ", ")
    }

    private var wayOut: String {
        if usage == .crypto { return "open it in the guest and check it there" }
        return "a part that is repaired by itself may no longer fit the others: boot the guest and check there what "
            + "is made of them"
    }
}
