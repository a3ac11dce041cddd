/// What LVM has on the devices it was shown. Names and tags were written by a guest: text to be escaped before it reaches a
/// terminal. All sizes and offsets are bytes.
public struct LVMReport: Hashable, Sendable, Codable {
    /// The volume groups, in lvm's order. Two may have the same name: only the UUID tells them apart.
    public var volumeGroups: [VolumeGroup]
    /// Physical volumes that no readable volume group has.
    public var unassignedPhysicalVolumes: [PhysicalVolume]
    /// Devices with an LVM label whose volume group lvm could not make sense of. (A clone of another device's physical
    /// volume is in ``PhysicalVolume/otherDevices``.)
    public var unreadableDevices: [String]
    /// Devices without a physical volume.
    public var devicesWithoutVolume: [String]
    /// Whether lvm ended without an error. Otherwise something is missing here, and ``warnings`` may say what. (A group that
    /// it can't make sense of is no error to it: see ``unreadableDevices``.)
    public var isComplete: Bool
    /// What lvm complained about, line by line. For people: decide nothing on it.
    public var warnings: [String]

    /// Makes a report; tests of the stages above do.
    public init(
        volumeGroups: [VolumeGroup] = [], unassignedPhysicalVolumes: [PhysicalVolume] = [],
        unreadableDevices: [String] = [], devicesWithoutVolume: [String] = [], isComplete: Bool = true,
        warnings: [String] = []
    ) {
        self.volumeGroups = volumeGroups
        self.unassignedPhysicalVolumes = unassignedPhysicalVolumes
        self.unreadableDevices = unreadableDevices
        self.devicesWithoutVolume = devicesWithoutVolume
        self.isComplete = isComplete
        self.warnings = warnings
    }
}

/// A volume group.
public struct VolumeGroup: Hashable, Sendable, Codable {
    /// Its name; not unique.
    public var name: String
    /// Its UUID in LVM's form; clones share it.
    public var uuid: String
    /// Size of an extent.
    public var extentSize: UInt64
    /// How many of its physical volumes are on none of the devices that were shown.
    public var missingPhysicalVolumes: Int
    /// Whether a logical volume needs a missing physical volume, as lvm says.
    public var isPartial: Bool
    /// Whether it was exported (`vgexport`): its owner means nobody to use it.
    public var isExported: Bool
    /// Which host owns it, or nil where it is anybody's. It is another host's, the guest: that is no reason to refuse it.
    public var systemID: String?
    /// `sanlock`, `dlm` where several hosts share it, or nil.
    public var lockType: String?
    /// Its physical volumes, missing ones included.
    public var physicalVolumes: [PhysicalVolume]
    /// Its logical volumes, hidden ones included.
    public var logicalVolumes: [LogicalVolume]

    /// Whether a physical volume was found on several devices, so that what belongs together is a guess.
    public var isAmbiguous: Bool { physicalVolumes.contains { !$0.otherDevices.isEmpty } }

    /// Makes a volume group.
    public init(
        name: String, uuid: String, extentSize: UInt64, missingPhysicalVolumes: Int = 0, isPartial: Bool = false,
        isExported: Bool = false, systemID: String? = nil, lockType: String? = nil,
        physicalVolumes: [PhysicalVolume] = [], logicalVolumes: [LogicalVolume] = []
    ) {
        self.name = name
        self.uuid = uuid
        self.extentSize = extentSize
        self.missingPhysicalVolumes = missingPhysicalVolumes
        self.isPartial = isPartial
        self.isExported = isExported
        self.systemID = systemID
        self.lockType = lockType
        self.physicalVolumes = physicalVolumes
        self.logicalVolumes = logicalVolumes
    }
}

/// A physical volume.
public struct PhysicalVolume: Hashable, Sendable, Codable {
    /// Its UUID in LVM's form; clones share it.
    public var uuid: String
    /// The device, with the path that was given to ``LVM/report(devices:)``; nil when it is missing.
    public var device: String?
    /// Other devices that were shown and have the same UUID: clones, of which lvm took ``device`` by chance.
    public var otherDevices: [String]
    /// Where its first extent starts on the device.
    public var dataStart: UInt64
    /// How large it is according to the metadata, without what comes before ``dataStart``.
    public var size: UInt64
    /// How large the device is, or nil when it is missing.
    public var deviceSize: UInt64?
    /// Whether its header says that a volume group has it. One that is unassigned all the same: the metadata is damaged.
    public var isInUse: Bool

    /// Makes a physical volume.
    public init(
        uuid: String, device: String?, otherDevices: [String] = [], dataStart: UInt64, size: UInt64,
        deviceSize: UInt64? = nil, isInUse: Bool = true
    ) {
        self.uuid = uuid
        self.device = device
        self.otherDevices = otherDevices
        self.dataStart = dataStart
        self.size = size
        self.deviceSize = deviceSize
        self.isInUse = isInUse
    }
}

/// A logical volume.
public struct LogicalVolume: Hashable, Sendable, Codable {
    /// What can be done with it.
    public enum Kind: String, Hashable, Sendable, Codable {
        /// Linear or striped: its extents are its content, and can be mapped without LVM.
        case plain
        /// The origin of a classic snapshot: writing to its extents behind LVM's back breaks the snapshot.
        case snapshotOrigin
        /// A classic snapshot: its extents hold exceptions, not a filesystem.
        case snapshot
        /// A thin volume.
        case thin
        /// A thin, cache or VDO pool, as the user sees it: no filesystem is in it.
        case pool
        /// RAID, mirror, cache, VDO and what comes after us: only LVM's own activation gives its content.
        case other
        /// A part of another volume (image, log, metadata, spare): nothing to check by itself.
        case hidden
    }

    /// What is wrong with the description of a volume.
    public enum Defect: String, Hashable, Sendable, Codable {
        /// It needs a physical volume that is missing.
        case missingPhysicalVolume
        /// Its segments leave a gap, overlap, or are more or less than its size.
        case segmentsDoNotFit
        /// An extent lies past the end of its physical volume's device.
        case pastEndOfDevice
        /// The devices of a segment could not be understood.
        case unreadable
    }

    /// Its name, unique in the volume group.
    public var name: String
    /// Its UUID in LVM's form.
    public var uuid: String
    /// Its size.
    public var size: UInt64
    /// What can be done with it.
    public var kind: Kind
    /// What is wrong with it, or nil. Only ``Kind/plain`` volumes, origins and hidden ones are looked at as closely.
    public var defect: Defect?
    /// lvm's `lv_layout`: `linear`, `striped`, `raid` `raid1`, `thin` `sparse`, `cache`, …
    public var layout: [String]
    /// lvm's `lv_role`: `public`, `private` `thin` `pool` `data`, …
    public var roles: [String]
    /// lvm's `lv_attr`, ten characters; see lvs(8).
    public var attributes: String
    /// The origin of a snapshot.
    public var origin: String?
    /// The pool of a thin volume.
    public var pool: String?
    /// Its segments, in order.
    public var segments: [Segment]

    /// Makes a logical volume.
    public init(
        name: String, uuid: String, size: UInt64, kind: Kind, defect: Defect? = nil, layout: [String] = [],
        roles: [String] = [], attributes: String = "", origin: String? = nil, pool: String? = nil,
        segments: [Segment] = []
    ) {
        self.name = name
        self.uuid = uuid
        self.size = size
        self.kind = kind
        self.defect = defect
        self.layout = layout
        self.roles = roles
        self.attributes = attributes
        self.origin = origin
        self.pool = pool
        self.segments = segments
    }
}

/// A contiguous part of a logical volume with one layout.
public struct Segment: Hashable, Sendable, Codable {
    /// Where one area of a segment is.
    public enum Place: Hashable, Sendable, Codable {
        /// On ``VolumeGroup/physicalVolumes``[index], so many bytes from the start of its *device*.
        case physicalVolume(index: Int, offset: UInt64)
        /// In another (hidden) logical volume, so many bytes from its start.
        case logicalVolume(name: String, offset: UInt64)
        /// On one of several missing physical volumes; which of them lvm doesn't say.
        case missing
    }

    /// lvm's `segtype`: `linear`, `striped`, `thin`, `thin-pool`, `raid1`, `cache`, `mirror`, …
    public var type: String
    /// First byte in the logical volume.
    public var start: UInt64
    /// Length in the logical volume.
    public var length: UInt64
    /// Size of a stripe's chunk; 0 where it has no stripes.
    public var stripeSize: UInt64
    /// One for `linear`, as many as there are stripes for `striped`, in stripe order; each as long as the segment divided by
    /// their number.
    public var areas: [Place]

    /// Makes a segment.
    public init(type: String, start: UInt64, length: UInt64, stripeSize: UInt64 = 0, areas: [Place] = []) {
        self.type = type
        self.start = start
        self.length = length
        self.stripeSize = stripeSize
        self.areas = areas
    }
}
