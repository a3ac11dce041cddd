public import HostTools
public import Libvirt

/// What will be done to one domain, or why nothing will. A value: `--dry-run` shows it, a repair follows it.
public struct Plan: Sendable {
    /// Which domain.
    public var domain: DomainID
    /// Its state when it was planned.
    public var state: DomainState
    /// The reason of that state.
    public var stateReason: StateReason
    /// Why nothing will be done, each with the way out; empty: the plan is followed.
    public var refusals: [String] = []
    /// What the user should know all the same.
    public var warnings: [String] = []
    /// How disks are attached.
    public var engine: EngineKind?
    /// Why it is that engine.
    public var engineReason = ""
    /// The engine to go on with where the first has no device left; nil where the user chose one, or there is no other.
    public var secondEngine: EngineKind?
    /// How partitions and logical volumes become devices.
    public var mapping = MappingKind.daemonNodes
    /// All disks of the domain with what will be done to each.
    public var disks: [DiskPlan] = []
    /// Whether it is powered off first, as the user asked; or destroyed, where it crashed and is still there: libvirt starts no
    /// such domain.
    public var powersOff = false
    /// Whether its managed save is removed before a repair is merged.
    public var discardsSavedState = false
    /// The domain's XML with its secrets, to be edited and defined again.
    public var xml: String

    /// The disks that are attached.
    public var attached: [DiskPlan] { disks.filter { $0.handling.isAttached } }
    /// What the disks' files have again after a repair, by target.
    var attributes: [String: FileAttributes] {
        Dictionary(uniqueKeysWithValues: disks.compactMap { disk in disk.attributes.map { (disk.target, $0) } })
    }
}

/// What will be done to one disk.
public struct DiskPlan: Hashable, Sendable {
    /// What will be done.
    public enum Handling: Hashable, Sendable {
        /// Checked, and repaired where it is damaged.
        case repair
        /// Checked only, and why.
        case checkOnly(String)
        /// Not looked at, and why.
        case skip(String)

        var isAttached: Bool {
            if case .skip = self { return false }
            return true
        }
    }

    /// The guest's name for it: `vda`.
    public var target: String
    /// Its image's path; "" where it has none on this host.
    public var path: String
    /// QEMU's name of its format.
    public var format: String
    /// What will be done.
    public var handling: Handling
    /// Its image and the layers below.
    public var chain: [ImageInfo]
    /// What `qemu-img check` found.
    public var check: ImageCheck?
    /// Bytes of a sector that the guest sees.
    public var sectorSize: Int
    /// Folder of its overlay.
    public var overlayFolder: String
    /// The image's file when it was planned; nil where it has none.
    public var status: FileStatus?
    /// The layers below it then, in the order of `chain`.
    public var layers: [FileStatus] = []
    /// Owner, mode and extended attributes when it was planned: what it has again after a repair.
    public var attributes: FileAttributes?
    /// Whether its file can be locked against QEMU.
    public var canBeLocked = true

    /// Size that the guest sees, in bytes.
    public var size: UInt64 { chain.first?.virtualSize ?? 0 }
}

/// How partitions and logical volumes become devices.
public enum MappingKind: String, Hashable, Sendable, Codable {
    /// The kernel's device-mapper, under names of our own.
    case deviceMapper
    /// Nodes of the storage daemon, each with an export of its own.
    case daemonNodes
}

extension Plan {
    /// Plans one domain. Pure: everything that it depends on is in its arguments.
    public init(for inventory: DomainInventory, on host: Host, options: Options) {
        domain = inventory.id
        state = inventory.summary.state
        stateReason = inventory.summary.reason
        xml = inventory.xml
        disks = inventory.disks.map { DiskPlan(for: $0, options: options) }
        mapping = host.hasDeviceMapper ? .deviceMapper : .daemonNodes
        (engine, engineReason) = Self.chooseEngine(options.engine, host)
        if options.engine == nil, engine == .nbd, host.engineProblems[.fuse] == nil { secondEngine = .fuse }

        if !host.isRoot { refusals.append("this must run as root: it attaches disks to the host") }
        refusals += host.missingPrograms
        if engine == nil { refusals.append(engineReason) }
        // What another run has under its hands is not what it will be.
        if let problem = inventory.lockProblem {
            refusals.append(problem)
            return
        }
        refusals += Self.refusals(forStateOf: inventory, options)
        if let problem = inventory.definitionProblem {
            refusals.append("\(domain.name): libvirt can't point it at its overlays: \(problem)")
        }
        // Without the programs nothing is known of the disks.
        if host.missingPrograms.isEmpty {
            refusals += inventory.disks.flatMap { Self.refusals(for: $0, of: inventory.id.name) }
        }
        refusals += Self.refusalsForOverlays(attached, inventory, options)
        if refusals.isEmpty, attached.isEmpty {
            refusals.append("\(domain.name): has no disk that could be checked here")
        }
        powersOff = inventory.summary.isActive
        discardsSavedState = inventory.summary.hasManagedSave && options.savedState == .discard
        if let manager = inventory.description.manager {
            warnings.append(
                "\(manager) manages this domain and may start it from an XML of its own at any time")
        }
        warnings += inventory.warnings
        for disk in inventory.disks where disk.isLeftOut {
            warnings.append(
                "\(disk.disk.target): \(disk.path ?? "its storage pool's volume") is missing; the domain starts without it (startupPolicy='optional'), and it "
                    + "was not checked")
        }
        if inventory.summary.snapshotCount > 0 {
            warnings.append("its snapshots keep the old, damaged state")
        }
        if let warning = StartProtection.warning(
            for: attached, of: inventory.description.type, hook: inventory.startHook)
        {
            warnings.append(warning)
        }
    }

    private static func chooseEngine(_ wanted: EngineKind?, _ host: Host) -> (EngineKind?, String) {
        if let wanted {
            if let problem = host.engineProblems[wanted] { return (nil, "engine \(wanted.rawValue): \(problem)") }
            return (wanted, "asked for")
        }
        guard let nbdProblem = host.engineProblems[.nbd] else { return (.nbd, "the host has nbd") }
        guard let fuseProblem = host.engineProblems[.fuse] else { return (.fuse, "no nbd here: \(nbdProblem)") }
        return (nil, "no way to attach a disk: nbd: \(nbdProblem); fuse: \(fuseProblem)")
    }

    private static func refusals(forStateOf inventory: DomainInventory, _ options: Options) -> [String] {
        let summary = inventory.summary
        let name = summary.id.name
        var refusals: [String] = []
        // libvirt's test driver runs nothing: it stands for any hypervisor in tests.
        let type = inventory.description.type
        if !StartProtection.qemuTypes.contains(type), type != "test" {
            refusals.append("\(name): is a domain of type '\(type)'; only those of QEMU are repaired (kvm, qemu)")
        }
        switch summary.state {
        case .shutoff, .crashed: break
        case _ where options.powerOff.forces && options.mode == .repair: break
        case .paused:
            refusals.append(
                "\(name): is paused (\(summary.reason.rawValue)); end it first: --force-off, or virsh destroy \(name)")
        case .pmsuspended:
            refusals.append("\(name): is suspended; wake and shut it down first: virsh dompmwakeup \(name)")
        case _ where options.powerOff.asks && options.mode == .repair: break
        default:
            refusals.append(
                "\(name): is \(summary.state.rawValue); shut it down first: --shutdown, or virsh shutdown \(name)")
        }
        if !summary.isPersistent {
            refusals.append("\(name): is transient, it would be gone with its next stop; define it first")
        }
        if summary.hasManagedSave, options.savedState == .keep || options.mode == .check {
            refusals.append(
                "\(name): has a managed save, whose memory holds the old filesystem's state; start and shut it down, "
                    + "or discard it: --discard-saved-state")
        }
        if summary.checkpointCount > 0 {
            refusals.append(
                "\(name): has checkpoints, which an offline repair would make wrong; delete them first: "
                    + "virsh checkpoint-delete \(name) …")
        }
        return refusals
    }

    private static func refusals(for inventory: DiskInventory, of domain: String) -> [String] {
        let disk = inventory.disk
        let target = disk.target
        switch disk.device {
        case .cdrom, .floppy: return []
        case .lun: return ["\(target): device='lun' gives the guest the device itself; it can't be repaired here"]
        case .other(let kind): return ["\(target): device='\(kind)' is no kind of disk that can be repaired here"]
        case .disk: break
        }
        guard !inventory.isLeftOut else { return [] }
        var refusals: [String] = []
        switch disk.source {
        case .network(let name): refusals.append("\(target): is a network disk (\(name)); repair it where it is")
        case .other(let type): refusals.append("\(target): a disk of type '\(type)' can't be repaired here")
        case .file, .block, .volume, .none: break
        }
        if disk.isShareable { refusals.append("\(target): is shareable; others may write to it during the repair") }
        if disk.isTransient { refusals.append("\(target): is transient; a repair would be thrown away") }
        if disk.isSlice { refusals.append("\(target): uses a slice of its file, which is not supported") }
        if ![512, 4096].contains(disk.sectorSize) {
            refusals.append(
                "\(target): has sectors of another size than 512 or 4096 bytes (blockio); the partition table can't be read as the "
                    + "guest reads it")
        }
        if disk.isEncrypted || inventory.chain.contains(where: \.isEncrypted) {
            refusals.append("\(target): is encrypted; an overlay would leak its data")
        }
        if !supportedFormats.contains(disk.format) {
            refusals.append("\(target): images of format '\(disk.format)' are not supported (qcow2 and raw are)")
        }
        if inventory.isOverlayOfOurs {
            refusals.append(
                "\(target): an interrupted run left the domain on its overlay \(inventory.path ?? ""); everything "
                    + "repaired is in there, and the domain can be started as it is; finish the run with: virt-fsck recover "
                    + "(where that knows no run any more: qemu-img commit, then virsh edit)"
            )
        }
        // Of a disk that is only read others may do what they like.
        if !disk.isReadOnly {
            refusals += DiskUser.refusals(for: inventory.users, of: target, path: inventory.path ?? "")
            for layer in inventory.layerUsers {
                refusals += DiskUser.refusals(for: layer.users.map(DiskUser.host), of: target, path: layer.path)
            }
        }
        if let problem = inventory.writeProblem { refusals.append("\(target): \(problem)") }
        if let job = inventory.blockJob {
            refusals.append(
                "\(target): libvirt is at work on it (\(job.rawValue)); let that end first: "
                    + "virsh blockjob \(domain) \(target)")
        }
        if let problem = inventory.lockProblem { refusals.append(problem) }
        if let problem = inventory.problem { refusals.append("\(target): \(problem)") }
        refusals += imageRefusals(for: inventory)
        return refusals
    }

    static let supportedFormats: Set = ["qcow2", "raw"]

    private static func imageRefusals(for inventory: DiskInventory) -> [String] {
        guard let image = inventory.chain.first else { return [] }
        let target = inventory.disk.target
        var refusals: [String] = []
        if inventory.check == .corrupt || image.isMarkedCorrupt {
            refusals.append(
                "\(target): qemu-img check finds \(image.path) corrupt; writing through it could destroy more: copy "
                    + "it, then try qemu-img check -r all")
        }
        if image.dataFile != nil {
            refusals.append("\(target): \(image.path) keeps its data in another file, which is not supported")
        }
        if !image.bitmaps.isEmpty {
            refusals.append("\(target): \(image.path) has dirty bitmaps (incremental backup); remove them first")
        }
        if image.virtualSize == 0 { refusals.append("\(target): \(image.path) is empty (size 0)") }
        if image.format == "raw", image.virtualSize % 512 != 0 {
            refusals.append(
                "\(target): the size of \(image.path) is no multiple of 512 bytes; round it up first: "
                    + "truncate -s %512 \(image.path)")
        }
        if let status = inventory.status, StorageNode(status) == nil {
            refusals.append("\(target): \(image.path) is neither a file nor a block device")
        }
        return refusals
    }

    private static func refusalsForOverlays(
        _ disks: [DiskPlan], _ inventory: DomainInventory, _ options: Options
    ) -> [String] {
        if let folder = options.scratchFolder,
            let refusal = Space.refusal(forScratch: folder, inventory.overlayPlaces[folder])
        {
            return [refusal]
        }
        return Space.refusals(for: disks, places: inventory.overlayPlaces)
            + disks.compactMap { disk in
                inventory.overlayPlaces[disk.overlayFolder]?.writeProblem.map {
                    "\(disk.target): its overlay can't be made: \($0), or give another folder: --scratch-dir DIR"
                }
            }
    }
}

extension DiskPlan {
    init(for inventory: DiskInventory, options: Options) {
        let disk = inventory.disk
        target = disk.target
        path = inventory.path ?? ""
        format = disk.format
        chain = inventory.chain
        check = inventory.check
        sectorSize = disk.sectorSize
        status = inventory.status
        layers = inventory.layers
        attributes = inventory.attributes
        canBeLocked = inventory.canBeLocked
        handling =
            switch (disk.device, disk.source) {
            case (.cdrom, _): .skip("cdrom")
            case (.floppy, _): .skip("floppy")
            case (_, .none): .skip("no medium")
            case _ where inventory.isLeftOut: .skip("missing, and the domain starts without it")
            default: disk.isReadOnly ? .checkOnly("the domain has it read-only") : .repair
            }
        overlayFolder = OverlayPlace.folder(for: inventory, scratchFolder: options.scratchFolder)
    }
}
