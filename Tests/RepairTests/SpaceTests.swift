import Foundation
import Libvirt
import Testing

@testable import HostTools
@testable import Repair

struct SpaceTests {
    private let mib: UInt64 = 1 << 20

    private func plan(_ disks: [(path: String, size: UInt64)], _ places: [String: OverlayPlace]) -> Plan {
        var inventory = Sample.inventory(
            disks.enumerated().map { number, wanted in
                var disk = Sample.diskInventory(Sample.disk("vd\(number)", path: wanted.path))
                disk.chain = [Sample.image(wanted.path, size: wanted.size)]
                return disk
            })
        inventory.overlayPlaces = places
        return Sample.plan(inventory)
    }

    private func place(_ free: UInt64, device: UInt64 = 1) throws -> OverlayPlace {
        OverlayPlace(folder: try FileStatus(of: "/"), filesystem: FilesystemStatus(device: device, free: free))
    }

    @Test(arguments: [(0, 1), (8, 9), (256, 18), (4096, 33), (1 << 20, 1025), (1 << 23, 1025)])
    func `what an overlay may need, in MiB, by the size of the disk`(size: UInt64, estimate: UInt64) {
        #expect(Space.estimate(forDiskOf: size << 20) == estimate << 20)
    }

    @Test func `too little room is refused, with numbers and the way out`() throws {
        let short = plan([("/images/a", 256 * mib)], ["/images": try place(18 * mib - 1)])
        #expect(
            short.refusals == [
                "/images: has 17.9 MiB free, and the overlay of vd0 may need 18.0 MiB; make room, or give another folder: "
                    + "--scratch-dir DIR"
            ])
        #expect(plan([("/images/a", 256 * mib)], ["/images": try place(18 * mib)]).refusals == [])
    }

    @Test func `overlays on one filesystem share its room, in whatever folders`() throws {
        let disks = [(path: "/a/disk", size: 256 * mib), (path: "/b/disk", size: 256 * mib)]
        let one = try place(35 * mib)
        #expect(
            plan(disks, ["/a": one, "/b": one]).refusals == [
                "/a: has 35.0 MiB free, and 2 overlays may need 36.0 MiB; make room, or give another folder: "
                    + "--scratch-dir DIR"
            ])
        #expect(plan(disks, ["/a": one, "/b": try place(35 * mib, device: 2)]).refusals == [])
    }

    /// One thing that is wrong with a scratch folder.
    enum Flaw: CaseIterable {
        case missing, file, volatile, readOnly, closed

        func place() throws -> OverlayPlace {
            let system = FilesystemStatus(device: 1, free: 1 << 40, isVolatile: self == .volatile)
            let folder = try self == .missing ? nil : FileStatus(of: self == .file ? "/etc/hostname" : "/")
            return OverlayPlace(
                folder: folder, filesystem: system, wall: self == .closed ? "/srv (mode 0700)" : nil,
                writeProblem: self == .readOnly ? "/srv/x: lies on a read-only filesystem" : nil)
        }

        var words: String {
            switch self {
            case .missing: "is missing; make it"
            case .file: "is no folder"
            case .volatile: "does not survive a reboot"
            case .readOnly: "read-only filesystem"
            case .closed: "QEMU's user may not search /srv (mode 0700)"
            }
        }
    }

    @Test(arguments: Flaw.allCases) func `a scratch folder that is of no use is refused`(flaw: Flaw) throws {
        var options = Options()
        options.scratchFolder = "/srv/x"
        var inventory = Sample.inventory()
        inventory.overlayPlaces = ["/srv/x": try flaw.place()]
        let refusals = Plan(for: inventory, on: Sample.host, options: options).refusals
        #expect(refusals.count == 1)
        #expect(refusals.first?.hasPrefix("/srv/x: ") == true && refusals.first?.contains(flaw.words) == true)
        #expect(refusals.first?.contains("--scratch-dir") == true)
    }

    @Test func `the mode of each folder on the way is looked at`() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/space-\(UUID().uuidString)"
        try Files.makeFolder("\(folder)/closed/open", mode: 0o755)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: "\(folder)/closed")
        let user = QemuUser(userID: 64055, groupID: 64055)
        let path = "\(folder)/closed/open"
        #expect(OverlayPlace(path, searchedBy: user).wall == "\(folder)/closed (mode 0700)")
        #expect(OverlayPlace(path, searchedBy: QemuUser(userID: 0, groupID: 0)).wall == nil)
        #expect(OverlayPlace(path, searchedBy: nil).wall == nil)
        try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: "\(folder)/closed")
        #expect(OverlayPlace(path, searchedBy: user).wall == nil)
        let missing = OverlayPlace("\(folder)/closed/open/not/there", searchedBy: user)
        #expect(missing.folder == nil && missing.filesystem != nil)
    }

    @Test(arguments: [(0o700, false), (0o710, true), (0o701, false), (0o711, true)])
    func `a folder of QEMU's group is searched by the group's bit`(mode: UInt32, isOpen: Bool) throws {
        var folder = try FileStatus(of: "/")
        (folder.userID, folder.groupID, folder.mode) = (1, 994, mode)
        #expect(QemuUser(userID: 64055, groupID: 994).canSearch(folder) == isOpen)
    }

    @Test func `QEMU's user is read from libvirt's capabilities`() {
        let xml = """
            <capabilities><host><secmodel><model>apparmor</model><doi>0</doi></secmodel>
            <secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+64055:+994</baselabel>
            <baselabel type='qemu'>+64055:+994</baselabel></secmodel></host></capabilities>
            """
        #expect(QemuUser(capabilities: xml) == QemuUser(userID: 64055, groupID: 994))
        #expect(QemuUser(capabilities: "<capabilities><host/></capabilities>") == nil)
        #expect(QemuUser(capabilities: "") == nil)
    }

    @Test(arguments: [
        ("raw", 10, 4, 3, 3), ("raw", 10, 4, 8, 6), ("raw", 10, 10, 8, 0), ("raw", 10, 12, 8, 0),
        ("qcow2", 10, 10, 8, 8),
    ]) func `what a merge can make a file grow by`(
        format: String, size: UInt64, allocated: UInt64, overlay: UInt64, growth: UInt64
    ) throws {
        var disk = try FileStatus(of: "/etc/hostname")
        (disk.size, disk.allocated) = (size, allocated)
        var top = disk
        top.allocated = overlay
        #expect(MergeSpace.growth(of: disk, format: format, byOverlay: top) == growth)
        disk.kind = .blockDevice
        #expect(MergeSpace.growth(of: disk, format: format, byOverlay: top) == 0)
    }

    @Test(
        arguments: [
            ([], 0), ([0..<1], 10), ([0..<10], 10), ([9..<11], 20), ([0..<1, 2..<3, 9..<10], 10),
            ([0..<11, 15..<21], 30),
            ([5..<6, 45..<46], 20), ([0..<UInt64.max], UInt64.max),
        ] as [([Range<UInt64>], UInt64)])
    func `a merge touches whole clusters of the disk`(ranges: [Range<UInt64>], bytes: UInt64) throws {
        #expect(MergeSpace.touched(ranges, clusterSize: 10) == bytes)
        var disk = try FileStatus(of: "/etc/hostname")
        disk.allocated = 7
        #expect(MergeSpace.growth(of: disk, format: "qcow2", byOverlay: disk, clusters: bytes) == max(7, bytes))
    }
}
