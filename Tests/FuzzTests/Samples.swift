import Libvirt

@testable import HostTools
@testable import Repair

/// Values around what is fuzzed.
enum Sample {
    static let uuid = "00000000-0000-4000-8000-000000000001"

    static func image(_ path: String) -> ImageInfo {
        ImageInfo(
            path: path, format: "qcow2", virtualSize: 1 << 30, actualSize: 0,
            backing: ImageInfo.Backing(path: "/nowhere/base", format: "raw"), isEncrypted: false,
            isMarkedCorrupt: false, snapshots: [], bitmaps: [], dataFile: nil)
    }

    /// The plan for a domain with one disk.
    static func plan(_ name: String = "web", target: String = "vda", image: ImageInfo) -> Plan {
        let disk = Disk(
            target: target, device: .disk, source: .file(image.path), format: image.format, isReadOnly: false,
            isShareable: false, isTransient: false, isEncrypted: false, isSlice: false, sectorSize: 512)
        let inventory = DiskInventory(
            disk: disk, path: image.path, chain: [image], check: .clean, problem: nil, status: nil)
        return Plan(
            for: DomainInventory(
                summary: DomainSummary(
                    id: DomainID(uuid: uuid, name: name), numericID: nil, state: .shutoff, reason: .crashed,
                    isPersistent: true, isActive: false, autostart: false, hasManagedSave: false, snapshotCount: 0,
                    checkpointCount: 0),
                xml: "<domain/>", description: description, disks: [inventory]),
            on: Host(isRoot: true, engineProblems: [:], hasDeviceMapper: true, missingPrograms: []), options: Options())
    }

    private static var description: DomainDescription {
        (try? DomainDescription(xml: "<domain type='kvm'/>")) ?? { preconditionFailure("no XML") }()
    }
}
