import HostTools
import Testing

@testable import Repair

struct PartitionPlacementTests {
    private let disk: UInt64 = 1 << 30

    private func partition(_ number: Int, _ start: UInt64, _ size: UInt64, isContainer: Bool = false) -> Partition {
        Partition(number: number, start: start, size: size, type: "0x83", isContainer: isContainer)
    }

    private func problems(_ partitions: Partition...) -> [Int: String] {
        PartitionPlacement.problems(of: partitions, diskSize: disk)
    }

    @Test func `neighbours that touch are fine, up to the last byte of the disk`() {
        #expect(problems(partition(1, 1 << 20, 1 << 20), partition(2, 2 << 20, disk - 2 << 20)) == [:])
    }

    @Test func `overlapping partitions are both left alone, in whatever order they stand`() {
        let expected = [1: "overlaps partition 2", 2: "overlaps partition 1"]
        #expect(problems(partition(1, 1 << 20, 2 << 20), partition(2, 2 << 20, 2 << 20)) == expected)
        #expect(problems(partition(2, 2 << 20, 2 << 20), partition(1, 1 << 20, 2 << 20)) == expected)
    }

    @Test func `a partition that covers several spoils all of them, and no other`() {
        let found = problems(
            partition(1, 1 << 20, 10 << 20), partition(2, 2 << 20, 1 << 20), partition(3, 5 << 20, 1 << 20),
            partition(4, 11 << 20, 1 << 20))
        #expect(Set(found.keys) == [1, 2, 3])
    }

    @Test func `one sector past the end of the disk is past the end`() {
        #expect(
            problems(partition(1, disk - 1024, 1536))
                == [1: "reaches 512 bytes past the end of the disk: is the image truncated?"])
    }

    @Test func `numbers that overflow are past the end`() {
        let words = [1: "reaches far past the end of the disk: is the image truncated?"]
        #expect(problems(partition(1, 512, .max)) == words)
        #expect(problems(partition(1, .max, .max)) == words)
        #expect(problems(partition(1, .max, 0))[1]?.contains("past the end") == true)
    }

    @Test func `a partition that reaches past the end spoils the one it overlaps`() {
        let found = problems(partition(1, 1 << 20, disk), partition(2, 2 << 20, 1 << 20))
        #expect(found[1]?.contains("past the end") == true)
        #expect(found[2] == "overlaps partition 1")
    }

    @Test func `no size, the table's own place, and half sectors are refused`() {
        #expect(problems(partition(1, 1 << 20, 0)) == [1: "has no size"])
        #expect(problems(partition(1, 0, 1 << 20)) == [1: "begins at the partition table itself"])
        #expect(problems(partition(1, 1000, 512)) == [1: "does not begin and end at a sector"])
        #expect(problems(partition(1, 512, 1000)) == [1: "does not begin and end at a sector"])
    }

    @Test func `an extended partition is no volume, whatever lies in it`() {
        #expect(
            problems(
                partition(1, 1 << 20, 100 << 20, isContainer: true), partition(5, 2 << 20, 1 << 20),
                partition(6, 4 << 20, 1 << 20)) == [:])
    }

    @Test(
        arguments: [
            ("21686148-6449-6E6F-744E-656564454649", "BIOS boot partition"),
            ("9e1a2d38-c612-4316-aa26-8b49521e5a8b", "PReP boot partition"), ("0x41", "PReP boot partition"),
            ("e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved partition"),
            ("0fc63daf-8483-4772-8e79-3d69d8477de4", nil), ("0x83", nil), ("", nil),
        ] as [(String, String?)]) func `partitions that never hold a filesystem are known by their type`(
            type: String, purpose: String?
        )
    {
        let partition = Partition(number: 1, start: 0, size: 0, type: type)
        #expect(PartitionPlacement.purposeWithoutFilesystem(of: partition) == purpose)
    }

    @Test(
        arguments: [
            ("0x42", "dynamic disk"), ("AF9B60A0-1431-4F62-BC68-3311714A69AD", "dynamic disk"),
            ("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "dynamic disk"),
            ("e75caf8f-f680-4cee-afa3-b001e56efc2d", "storage pool"), ("0x07", nil), ("0xfd", nil),
        ] as [(String, String?)])
    func `partitions of Windows's dynamic disks and storage pools are known by their type`(
        type: String, whole: String?
    ) {
        let words = PartitionPlacement.membership(of: Partition(number: 1, start: 0, size: 0, type: type))
        #expect((words == nil) == (whole == nil))
        if let whole { #expect(words?.contains(whole) == true) }
    }
}

struct ClassificationTests {
    private func content(_ types: String...) -> Volume.Content {
        Volume.Content(signatures: types.map(signature))
    }

    /// With the usage that libblkid gives the type.
    private func signature(_ type: String) -> Signature {
        let raid = ["drbd", "stratis", "GEOM::MIRROR", "LVM1_member", "LVM2_member", "VMFS_volume_member"]
        let crypto = ["crypto_LUKS", "BitLocker", "DM_integrity", "DM_verity_hash"]
        let other = ["swap", "swsuspend", "suspend", "jbd", "bcache", "vdo", "DM_snapshot_cow"]
        let usage: Signature.Usage =
            raid.contains(type) || type.hasSuffix("_raid_member")
            ? .raid : crypto.contains(type) ? .crypto : other.contains(type) ? .other : .filesystem
        return Signature(type: type, usage: usage)
    }

    @Test(arguments: ["ext2", "ext3", "ext4", "vfat", "xfs"]) func `what we can check is a filesystem`(type: String) {
        #expect(content(type) == .filesystem(type: type))
    }

    @Test func `nothing found is never clean`() {
        #expect(
            content() == .unclear(type: "", why: "no filesystem signature found: empty, or its superblock is destroyed")
        )
    }

    @Test func `swap is nothing to check, a physical volume is LVM's`() {
        #expect(content("swap") == .nothingToCheck(type: "swap", why: "swap space"))
        #expect(content("LVM2_member") == .physicalVolume)
    }

    @Test(arguments: [
        "swsuspend", "suspend", "crypto_LUKS", "BitLocker", "linux_raid_member", "ddf_raid_member", "isw_raid_member",
        "via_raid_member", "GEOM::MIRROR", "drbd", "bcache", "vdo", "stratis", "VMFS_volume_member", "LVM1_member",
        "DM_integrity", "DM_verity_hash", "DM_snapshot_cow",
    ]) func `what must not be touched is unclear, and says why`(type: String) {
        guard case .unclear(type, let why) = content(type) else {
            Issue.record("\(content(type))")
            return
        }
        #expect(!why.isEmpty)
    }

    @Test(arguments: [
        ("btrfs", "btrfs-progs"), ("ntfs", "chkdsk"), ("exfat", "exfatprogs"), ("f2fs", "f2fs-tools"),
        ("zfs_member", "zpool scrub"), ("bcachefs", "bcachefs"), ("jbd", "jbd"),
    ]) func `what we know and can't check is unsupported, with the way out`(type: String, way: String) {
        guard case .unsupported(type, let why) = content(type) else {
            Issue.record("\(content(type))")
            return
        }
        #expect(why.contains(way))
    }

    @Test(arguments: [["vfat", "ext4"], ["ext4", "ext3"], ["swap", "xfs"]])
    func `two signatures are never given to a checker, and no command that destroys one is advised`(types: [String]) {
        let content = Volume.Content(signatures: types.map(signature))
        guard case .unclear(types[0], let why) = content else {
            Issue.record("\(content)")
            return
        }
        #expect(why.contains("signatures of \(types[0]) and \(types[1])"))
        #expect(!why.contains("wipefs") && !why.contains("mkfs"))
    }

    @Test(arguments: [
        ("linux_raid_member", "a member of a RAID array"), ("isw_raid_member", "a member of a RAID array"),
        ("GEOM::MIRROR", "a member of a RAID array"), ("LVM2_member", "a physical volume of LVM"),
        ("zfs_member", "a member of a ZFS pool"), ("drbd", "one side of a DRBD mirror"),
        ("bcache", "a part of a bcache device"), ("crypto_LUKS", "encrypted"),
        ("DM_integrity", "a part of something larger"),
    ]) func `a filesystem behind the signature of a member is that member's, wherever the signature stands`(
        type: String, whole: String
    ) {
        for types in [[type, "ext4"], ["ext4", type]] {
            let content = Volume.Content(signatures: types.map(signature))
            guard case .unclear(type, let why) = content else {
                Issue.record("\(content)")
                continue
            }
            #expect(why.hasPrefix("is \(whole) (\(type)); "))
            #expect(why.contains("signatures of ext4, too"))
        }
    }

    @Test func `a member is named with its version, label and UUID`() {
        let member = Signature(type: "linux_raid_member", usage: .raid, label: "h:0", uuid: "1-2", version: "1.0")
        #expect(member.membership.contains("(linux_raid_member 1.0, label h:0, UUID 1-2)"))
    }

    @Test func `a filesystem that claims more than its volume has gets that said`() {
        func overrun(_ claimed: UInt64?) -> String? {
            Signature(type: "ext4", usage: .filesystem, filesystemSize: claimed).overrun(of: 100)
        }
        #expect(overrun(101) == "the filesystem claims 101 bytes, its volume has 100")
        #expect(overrun(100) == nil)
        #expect(overrun(nil) == nil)
    }

    @Test func `a volume's type is what is in it`() {
        var volume = Sample.volume()
        #expect(volume.type == "ext4")
        volume.content = .physicalVolume
        #expect(volume.type == "LVM2_member")
        volume.content = .unclear(type: "", why: "x")
        #expect(volume.type == "")
    }
}

struct LayoutTests {
    private func piece(_ disk: String, _ offset: UInt64, _ length: UInt64) -> Layout.Piece {
        Layout.Piece(Layout.Extent(disk: disk, offset: offset), length: length)
    }

    @Test func `neighbours on a disk become one piece`() {
        let layout = Layout(pieces: [piece("vda", 0, 10), piece("vda", 10, 5), piece("vda", 15, 1)])
        #expect(layout.pieces == [piece("vda", 0, 16)])
        #expect(layout.singleExtent == Layout.Extent(disk: "vda", offset: 0))
        #expect(layout.length == 16)
    }

    @Test func `pieces that lie apart, turn back or change the disk stay apart`() {
        for second in [piece("vda", 11, 5), piece("vda", 0, 5), piece("vdb", 10, 5)] {
            let layout = Layout(pieces: [piece("vda", 0, 10), second])
            #expect(layout.pieces.count == 2)
            #expect(layout.singleExtent == nil)
            #expect(layout.length == 15)
        }
    }

    @Test func `stripes are never joined`() {
        let stripes = [Layout.Extent(disk: "vda", offset: 0), Layout.Extent(disk: "vdb", offset: 0)]
        let striped = Layout.Piece(length: 20, stripes: stripes, chunk: 4)
        let layout = Layout(pieces: [striped, piece("vda", 20, 5), piece("vda", 25, 5)])
        #expect(layout.pieces == [striped, piece("vda", 20, 10)])
        #expect(layout.disks == ["vda", "vdb"])
        #expect(Layout(pieces: [striped]).singleExtent == nil)
    }

    @Test func `a region is one piece`() {
        let layout = Layout(disk: "vda", offset: 512, length: 1024)
        #expect(layout.pieces == [piece("vda", 512, 1024)])
        #expect(layout.disks == ["vda"])
    }
}

struct LogicalVolumesTests {
    private let extent: UInt64 = 4 << 20
    private let partitionStart: UInt64 = 1 << 20

    /// Two physical volumes: vda2, which begins at 1 MiB of its disk, and the whole vdb.
    private var members: [String: Volume] {
        var first = Sample.volume("vda2", offset: partitionStart, size: 100 << 20)
        first.content = .physicalVolume
        var second = Sample.volume("vdb", disks: ["vdb"], offset: 0, size: 50 << 20)
        second.content = .physicalVolume
        return ["/dev/a": first, "/dev/b": second]
    }

    private func group(_ volumes: LogicalVolume..., otherDevices: [String] = []) -> VolumeGroup {
        VolumeGroup(
            name: "vg", uuid: "u", extentSize: extent,
            physicalVolumes: [
                PhysicalVolume(
                    uuid: "1", device: "/dev/a", otherDevices: otherDevices, dataStart: 1 << 20, size: 96 << 20,
                    deviceSize: 100 << 20),
                PhysicalVolume(uuid: "2", device: "/dev/b", dataStart: 1 << 20, size: 48 << 20, deviceSize: 50 << 20),
                PhysicalVolume(uuid: "3", device: nil, dataStart: 0, size: 0),
            ],
            logicalVolumes: volumes)
    }

    private func linear(
        _ places: [(Int, UInt64, UInt64)], kind: LogicalVolume.Kind = .plain, name: String = "root"
    ) -> LogicalVolume {
        var start: UInt64 = 0
        var segments: [Segment] = []
        for (index, offset, length) in places {
            segments.append(
                Segment(
                    type: "linear", start: start, length: length,
                    areas: [.physicalVolume(index: index, offset: offset)]))
            start += length
        }
        return LogicalVolume(name: name, uuid: "l", size: start, kind: kind, layout: ["linear"], segments: segments)
    }

    private func only(_ group: VolumeGroup) throws -> Volume {
        let volumes = LogicalVolumes(report: LVMReport(volumeGroups: [group]), members: members).volumes
        #expect(volumes.count == 1)
        return try #require(volumes.first)
    }

    @Test func `an extent's place counts from the start of the disk`() throws {
        let volume = try only(group(linear([(0, 5 << 20, 8 << 20)])))
        #expect(volume.name == "vg/root")
        #expect(volume.layout == Layout(disk: "vda", offset: partitionStart + 5 << 20, length: 8 << 20))
        #expect(volume.disk == "vda")
        #expect(volume.size == 8 << 20)
    }

    @Test func `segments one after the other on a disk are one piece`() throws {
        let volume = try only(group(linear([(0, 5 << 20, 8 << 20), (0, 13 << 20, 4 << 20)])))
        #expect(volume.layout?.singleExtent != nil)
    }

    @Test func `a volume over two disks has pieces on both`() throws {
        let volume = try only(group(linear([(1, 1 << 20, 8 << 20), (0, 5 << 20, 4 << 20)])))
        #expect(
            volume.layout?.pieces == [
                Layout.Piece(Layout.Extent(disk: "vdb", offset: 1 << 20), length: 8 << 20),
                Layout.Piece(Layout.Extent(disk: "vda", offset: partitionStart + 5 << 20), length: 4 << 20),
            ])
        // It stands in the report of the disk that holds its first byte.
        #expect(volume.disk == "vdb")
    }

    @Test func `a striped volume takes turns between the disks`() throws {
        let segment = Segment(
            type: "striped", start: 0, length: 16 << 20, stripeSize: 64 << 10,
            areas: [.physicalVolume(index: 0, offset: 1 << 20), .physicalVolume(index: 1, offset: 5 << 20)])
        let volume = try only(
            group(
                LogicalVolume(
                    name: "stripe", uuid: "s", size: 16 << 20, kind: .plain, layout: ["striped"], segments: [segment])))
        #expect(
            volume.layout?.pieces == [
                Layout.Piece(
                    length: 16 << 20,
                    stripes: [
                        Layout.Extent(disk: "vda", offset: partitionStart + 1 << 20),
                        Layout.Extent(disk: "vdb", offset: 5 << 20),
                    ], chunk: 64 << 10)
            ])
    }

    @Test(
        arguments: [
            [(0, 99 << 20, 2 << 20)], [(0, .max, 4 << 20)], [(0, .max - 1, .max)], [(1, 50 << 20, 512)],
            [(2, 0, 4 << 20)],
            [(7, 0, 4 << 20)], [(-1, 0, 4 << 20)], [], [(0, 1 << 20, 4 << 20), (1, 50 << 20, 4 << 20)],
        ] as [[(Int, UInt64, UInt64)]]) func `extents outside the domain's disks give no device`(
            places: [(Int, UInt64, UInt64)]
        ) throws
    {
        var volume = LogicalVolume(name: "root", uuid: "l", size: 1, kind: .plain)
        volume.segments = places.map { index, offset, length in
            Segment(type: "linear", start: 0, length: length, areas: [.physicalVolume(index: index, offset: offset)])
        }
        let found = try only(group(volume))
        #expect(found.layout == nil)
        #expect(found.content == .unclear(type: "", why: "its extents lie outside the domain's disks"))
    }

    @Test func `a segment in another volume, or nowhere, gives no device`() throws {
        for area in [Segment.Place.missing, .logicalVolume(name: "pool", offset: 0)] {
            var volume = linear([(0, 1 << 20, 4 << 20)])
            volume.segments[0].areas = [area]
            #expect(try only(group(volume)).layout == nil)
        }
        var volume = linear([(0, 1 << 20, 4 << 20)])
        volume.segments[0].areas = []
        #expect(try only(group(volume)).layout == nil)
    }

    @Test(arguments: [
        LogicalVolume.Defect.missingPhysicalVolume, .segmentsDoNotFit, .pastEndOfDevice, .unreadable,
    ]) func `a defect is said, and the volume left alone`(defect: LogicalVolume.Defect) throws {
        var volume = linear([(0, 1 << 20, 4 << 20)])
        volume.defect = defect
        let found = try only(group(volume))
        #expect(found.layout == nil)
        guard case .unclear(_, let why) = found.content else {
            Issue.record("\(found.content)")
            return
        }
        #expect(!why.isEmpty)
    }

    @Test func `pools and snapshots are nothing to check, origins must not be written`() throws {
        #expect(
            try only(group(linear([(0, 1 << 20, 4 << 20)], kind: .pool))).content
                == .nothingToCheck(type: "", why: "a pool, which holds no filesystem itself"))
        var snapshot = linear([(0, 1 << 20, 4 << 20)], kind: .snapshot)
        snapshot.origin = "root"
        #expect(try only(group(snapshot)).content == .nothingToCheck(type: "", why: "a snapshot of root"))
        let origin = try only(group(linear([(0, 1 << 20, 4 << 20)], kind: .snapshotOrigin)))
        #expect(origin.layout == nil)
        guard case .unclear = origin.content else {
            Issue.record("\(origin.content)")
            return
        }
    }

    @Test(arguments: [LogicalVolume.Kind.thin, .other]) func `what needs LVM's activation is unsupported`(
        kind: LogicalVolume.Kind
    ) throws {
        let found = try only(group(linear([(0, 1 << 20, 4 << 20)], kind: kind)))
        #expect(found.layout == nil)
        guard case .unsupported = found.content else {
            Issue.record("\(found.content)")
            return
        }
    }

    @Test func `hidden volumes are not shown`() {
        let report = LVMReport(volumeGroups: [group(linear([(0, 1 << 20, 4 << 20)], kind: .hidden))])
        #expect(LogicalVolumes(report: report, members: members).volumes == [])
    }

    @Test func `of a group with clones nothing is touched`() throws {
        let found = try only(group(linear([(0, 1 << 20, 4 << 20)]), otherDevices: ["/dev/clone"]))
        #expect(found.layout == nil)
        guard case .unclear(_, let why) = found.content else {
            Issue.record("\(found.content)")
            return
        }
        #expect(why.contains("several copies"))
    }

    @Test func `volumes that share an extent are not touched, whoever lies between them`() {
        var group = group(linear([(0, 1 << 20, 24 << 20)], name: "large"))
        for (name, start) in [("inner", 4), ("later", 20), ("apart", 40)] {
            group.logicalVolumes.append(linear([(0, UInt64(start) << 20, 8 << 20)], name: name))
        }
        let found = LogicalVolumes(report: LVMReport(volumeGroups: [group]), members: members).volumes
        #expect(found.filter { $0.layout == nil }.map(\.name) == ["vg/large", "vg/inner", "vg/later"])
        guard case .unclear(_, let why) = found[1].content else {
            Issue.record("\(found[1].content)")
            return
        }
        #expect(why.contains("extents that vg/large has too"))
    }

    @Test func `only physical volumes of a group that was read are explained`() {
        let report = LVMReport(volumeGroups: [group()], unreadableDevices: ["/dev/c"])
        var members = members
        members["/dev/c"] = Sample.volume("vdc", disks: ["vdc"])
        #expect(LogicalVolumes(report: report, members: members).explained == ["vda2", "vdb"])
    }
}
