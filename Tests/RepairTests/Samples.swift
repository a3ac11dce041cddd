import Libvirt

@testable import HostTools
@testable import Repair

/// Values to start a test from.
enum Sample {
    static let uuid = "00000000-0000-4000-8000-000000000001"
    static let id = DomainID(uuid: uuid, name: "web")

    static func summary(
        _ state: DomainState = .shutoff, _ reason: StateReason = .crashed, isActive: Bool = false,
        isPersistent: Bool = true, hasManagedSave: Bool = false, snapshots: Int = 0, checkpoints: Int = 0
    ) -> DomainSummary {
        DomainSummary(
            id: id, numericID: isActive ? 1 : nil, state: state, reason: reason, isPersistent: isPersistent,
            isActive: isActive, autostart: false, hasManagedSave: hasManagedSave, snapshotCount: snapshots,
            checkpointCount: checkpoints)
    }

    static func image(
        _ path: String = "/images/web.qcow2", format: String = "qcow2", size: UInt64 = 1 << 30, backing: String? = nil
    ) -> ImageInfo {
        ImageInfo(
            path: path, format: format, virtualSize: size, actualSize: 0,
            backing: backing.map { ImageInfo.Backing(path: $0, format: "raw") }, isEncrypted: false,
            isMarkedCorrupt: false, snapshots: [], bitmaps: [], dataFile: nil)
    }

    static func disk(_ target: String = "vda", path: String = "/images/web.qcow2", format: String = "qcow2") -> Disk {
        Disk(
            target: target, device: .disk, source: .file(path), format: format, isReadOnly: false, isShareable: false,
            isTransient: false, isEncrypted: false, isSlice: false, sectorSize: 512)
    }

    static func diskInventory(_ disk: Disk = disk()) -> DiskInventory {
        DiskInventory(
            disk: disk, path: disk.path, chain: disk.path.map { [image($0, format: disk.format)] } ?? [], check: .clean,
            problem: nil, status: nil)
    }

    static func inventory(
        _ disks: [DiskInventory] = [diskInventory()], summary: DomainSummary = summary(), manager: String? = nil
    ) -> DomainInventory {
        DomainInventory(
            summary: summary, xml: "<domain/>",
            description: DomainDescription(type: "kvm", disks: disks.map(\.disk), manager: manager), disks: disks)
    }

    static let host = Host(isRoot: true, engineProblems: [:], hasDeviceMapper: true, missingPrograms: [])

    static func plan(_ inventory: DomainInventory = inventory(), on host: Host = host) -> Plan {
        Plan(for: inventory, on: host, options: Options())
    }

    static func volume(
        _ name: String = "vda1", type: String = "ext4", disks: [String] = ["vda"], offset: UInt64 = 1 << 20,
        size: UInt64 = 1 << 24
    ) -> Volume {
        Volume(
            name: name,
            layout: Layout(
                pieces: disks.map { Layout.Piece(Layout.Extent(disk: $0, offset: offset), length: size) }),
            content: .filesystem(type: type), label: nil, uuid: nil, size: size, disk: disks.first ?? "")
    }

    static func result(
        _ name: String = "vda1", _ outcome: VolumeResult.Outcome, disks: [String] = ["vda"], offset: UInt64 = 1 << 20
    ) -> VolumeResult {
        VolumeResult(volume: volume(name, disks: disks, offset: offset), outcome: outcome)
    }
}

extension DomainDescription {
    init(type: String, disks: [Disk], manager: String?) {
        // There is no other way than through XML.
        self = (try? DomainDescription(xml: "<domain type='\(type)'/>")) ?? { preconditionFailure("no XML") }()
        self.disks = disks
        self.manager = manager
    }
}
