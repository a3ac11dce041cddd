import FoundationEssentials

/// `lvm fullreport --reportformat json`, as it is (names in camel case): one report for each volume group and one for what has
/// none, every value a string.
struct RawReport: Decodable {
    struct Group: Decodable {
        var vg: [VG]?
        var pv: [PV]?
        var lv: [LV]?
        var seg: [Seg]?
    }

    struct VG: Decodable {
        var vgUuid, vgName, vgExtentSize, vgExported, vgPartial, vgMissingPvCount: String
        var vgSystemid, vgLockType: String
    }

    struct PV: Decodable {
        var pvUuid, pvName, pvMajor, pvMinor, devSize, peStart, pvSize, pvMissing, pvInUse: String
    }

    struct LV: Decodable {
        var lvUuid, lvName, lvSize, lvLayout, lvRole, lvAttr, origin, poolLv: String
    }

    struct Seg: Decodable {
        var lvUuid, segtype, segStart, segSize, stripeSize, devices: String
    }

    var report: [Group]

    /// Sections and the fields to ask for in each: the members above.
    static let fields = [
        ("vg", "vg_uuid,vg_name,vg_extent_size,vg_exported,vg_partial,vg_missing_pv_count,vg_systemid,vg_lock_type"),
        ("pv", "pv_uuid,pv_name,pv_major,pv_minor,dev_size,pe_start,pv_size,pv_missing,pv_in_use"),
        ("lv", "lv_uuid,lv_name,lv_size,lv_layout,lv_role,lv_attr,origin,pool_lv"),
        ("seg", "lv_uuid,segtype,seg_start,seg_size,stripe_size,devices"),
        // The section can't be left out.
        ("pvseg", "pvseg_start"),
    ]
}

extension LVMReport {
    /// Reads what `lvm fullreport` printed. Touches nothing but the text.
    ///
    /// A guest can forge parts of it: lvm 2.03.16 escapes quotes, but not backslashes. So a device that was not given to lvm
    /// is an error, and whatever a guest forges concerns its own disks only.
    ///
    /// - Parameters:
    ///   - text: JSON with the fields of ``RawReport``.
    ///   - devices: the paths given to lvm.
    ///   - numbers: what they stand for: lvm may report another path of the same device.
    init(parsing text: String, devices: [String], numbers: [DeviceNumber: String] = [:]) throws(LVMError) {
        guard !JSONNesting.isTooDeep(text.utf8) else { throw .unreadable(reason: "it nests too deep") }
        let raw: RawReport
        do {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            // lvm escapes quotes, yet prints a guest's control characters as they are, which JSON doesn't allow.
            raw = try decoder.decode(RawReport.self, from: Data(text.utf8.map { $0 < 0x20 ? 0x20 : $0 }))
        } catch {
            throw .unreadable(reason: String(describing: error))
        }
        self.init()
        for group in raw.report {
            let physicalVolumes = try (group.pv ?? []).map { volume throws(LVMError) in
                try PhysicalVolume(volume, device: try volume.device(among: devices, numbers))
            }
            let headers = group.vg ?? []
            guard let header = headers.first else {
                unassignedPhysicalVolumes += physicalVolumes
                continue
            }
            guard headers.count == 1 else { throw .unreadable(reason: "\(headers.count) volume groups in one section") }
            volumeGroups.append(try VolumeGroup(header, physicalVolumes, group))
        }
    }

    /// Finds out about the devices that lvm didn't report: a clone of a physical volume that it did, a volume group that it
    /// could not read, or nothing.
    mutating func account(for devices: [String], physicalVolumeUUID: (String) -> String?) {
        let volumes = volumeGroups.flatMap(\.physicalVolumes) + unassignedPhysicalVolumes
        let reported = Set(volumes.compactMap(\.device))
        for device in devices where !reported.contains(device) {
            guard let uuid = physicalVolumeUUID(device) else {
                devicesWithoutVolume.append(device)
                continue
            }
            if !addClone(device, uuid) {
                unreadableDevices.append(device)
            }
        }
    }

    private mutating func addClone(_ device: String, _ uuid: String) -> Bool {
        for group in volumeGroups.indices {
            let volumes = volumeGroups[group].physicalVolumes
            for index in volumes.indices where volumes[index].uuid == uuid && volumes[index].device != nil {
                volumeGroups[group].physicalVolumes[index].otherDevices.append(device)
                return true
            }
        }
        for index in unassignedPhysicalVolumes.indices where unassignedPhysicalVolumes[index].uuid == uuid {
            unassignedPhysicalVolumes[index].otherDevices.append(device)
            return true
        }
        return false
    }
}

extension RawReport.PV {
    /// The path that was given for this physical volume, or nil where it is missing.
    fileprivate func device(among devices: [String], _ numbers: [DeviceNumber: String]) throws(LVMError) -> String? {
        guard pvMissing.isEmpty else { return nil }
        if let device = DeviceNumber("\(pvMajor):\(pvMinor)").flatMap({ numbers[$0] }) { return device }
        guard devices.contains(pvName) else {
            throw .unreadable(reason: "it has a device that was not given: \(pvName)")
        }
        return pvName
    }
}

extension PhysicalVolume {
    fileprivate init(_ raw: RawReport.PV, device: String?) throws(LVMError) {
        self.init(
            uuid: raw.pvUuid, device: device, dataStart: try bytes(raw.peStart, "pe_start"),
            size: try bytes(raw.pvSize, "pv_size"),
            deviceSize: device == nil ? nil : try bytes(raw.devSize, "dev_size"),
            isInUse: !raw.pvInUse.isEmpty)
    }
}

extension VolumeGroup {
    fileprivate init(
        _ raw: RawReport.VG, _ physicalVolumes: [PhysicalVolume], _ group: RawReport.Group
    ) throws(LVMError) {
        self.init(
            name: raw.vgName,
            uuid: raw.vgUuid,
            extentSize: try bytes(raw.vgExtentSize, "vg_extent_size"),
            missingPhysicalVolumes: Int(raw.vgMissingPvCount) ?? physicalVolumes.count { $0.device == nil },
            isPartial: !raw.vgPartial.isEmpty,
            isExported: !raw.vgExported.isEmpty,
            systemID: raw.vgSystemid.nonEmpty,
            lockType: raw.vgLockType == "none" ? nil : raw.vgLockType.nonEmpty,
            physicalVolumes: physicalVolumes)
        let names = PlaceReader(raw: group.pv ?? [], physicalVolumes: physicalVolumes, extentSize: extentSize)
        let segments = Dictionary(grouping: group.seg ?? [], by: \.lvUuid)
        logicalVolumes = try (group.lv ?? []).map { volume throws(LVMError) in
            try LogicalVolume(volume, segments[volume.lvUuid] ?? [], names, self)
        }
    }
}

extension LogicalVolume {
    fileprivate init(
        _ raw: RawReport.LV, _ rawSegments: [RawReport.Seg], _ names: PlaceReader, _ group: VolumeGroup
    ) throws(LVMError) {
        let isBracketed = raw.lvName.hasPrefix("[") && raw.lvName.hasSuffix("]")
        self.init(
            name: isBracketed ? String(raw.lvName.dropFirst().dropLast()) : raw.lvName,
            uuid: raw.lvUuid,
            size: try bytes(raw.lvSize, "lv_size"),
            kind: .other,
            layout: raw.lvLayout.split(separator: ",").map(String.init),
            roles: raw.lvRole.split(separator: ",").map(String.init),
            attributes: raw.lvAttr,
            origin: raw.origin.nonEmpty,
            pool: raw.poolLv.nonEmpty)
        var isReadable = true
        for segment in rawSegments {
            let areas = names.places(in: segment.devices)
            isReadable = isReadable && areas != nil
            segments.append(
                Segment(
                    type: segment.segtype, start: try bytes(segment.segStart, "seg_start"),
                    length: try bytes(segment.segSize, "seg_size"),
                    stripeSize: try bytes(segment.stripeSize, "stripe_size"), areas: areas ?? []))
        }
        segments.sort { $0.start < $1.start }
        kind = actualKind
        defect = isReadable ? firstDefect(in: group) : .unreadable
    }

    private var isMapped: Bool {
        !segments.isEmpty && segments.allSatisfy { $0.type == "linear" || $0.type == "striped" }
    }

    private var actualKind: Kind {
        if layout.contains("pool") { return roles.contains("private") && isMapped ? .hidden : .pool }
        if roles.contains("private") { return .hidden }
        if roles.contains("thicksnapshot") { return .snapshot }
        if layout.contains("thin") { return .thin }
        guard isMapped else { return .other }
        // Of snapshots, or the external one of thin volumes.
        return roles.contains("origin") ? .snapshotOrigin : .plain
    }

    private func firstDefect(in group: VolumeGroup) -> Defect? {
        guard isMapped else { return nil }
        var end: UInt64 = 0
        for segment in segments {
            let (next, overflow) = segment.start.addingReportingOverflow(segment.length)
            let count = UInt64(segment.areas.count)
            guard segment.start == end, segment.length > 0, !overflow, count > 0, segment.length % count == 0,
                count == 1 || (segment.stripeSize > 0 && (segment.length / count) % segment.stripeSize == 0),
                Self.areSectors(segment.length / count, count == 1 ? 0 : segment.stripeSize)
            else { return .segmentsDoNotFit }
            end = next
            for area in segment.areas {
                guard case .physicalVolume(let index, let offset) = area else {
                    return area == .missing ? .missingPhysicalVolume : .unreadable
                }
                guard let size = group.physicalVolumes[index].deviceSize else { return .missingPhysicalVolume }
                guard offset <= size, segment.length / count <= size - offset else { return .pastEndOfDevice }
                guard Self.areSectors(offset) else { return .segmentsDoNotFit }
            }
        }
        return end == size ? nil : .segmentsDoNotFit
    }

    /// Whether these are whole sectors of 512 bytes, in which LVM counts: what is below would cut anything else off.
    private static func areSectors(_ bytes: UInt64...) -> Bool { bytes.allSatisfy { $0 % 512 == 0 } }
}

/// Reads lvm's `devices` field: `/dev/sda(0),[unknown](12),poolTdata(0)`, extents in parentheses.
private struct PlaceReader {
    /// lvm's name of each physical volume that isn't missing, and where in the list it is. Longest first: a path may be the
    /// start of another and go on with a parenthesis.
    private let names: [(name: String, index: Int)]
    private let missing: [Int]
    private let physicalVolumes: [PhysicalVolume]
    private let extentSize: UInt64

    init(raw: [RawReport.PV], physicalVolumes: [PhysicalVolume], extentSize: UInt64) {
        names = zip(raw, physicalVolumes.indices)
            .compactMap { volume, index in volume.pvMissing.isEmpty ? (volume.pvName, index) : nil }
            .sorted { $0.name.utf8.count > $1.name.utf8.count }
        missing = physicalVolumes.indices.filter { physicalVolumes[$0].device == nil }
        self.physicalVolumes = physicalVolumes
        self.extentSize = extentSize
    }

    /// The places, or nil where the text can't be understood or a number overflows.
    func places(in text: String) -> [Segment.Place]? {
        var rest = Substring(text)
        var places: [Segment.Place] = []
        while !rest.isEmpty {
            let known = names.first { rest.hasPrefix($0.name + "(") }
            guard let name = known?.name ?? rest.firstIndex(of: "(").map({ String(rest[..<$0]) }) else { return nil }
            rest = rest.dropFirst(name.count + 1)
            guard let end = rest.firstIndex(of: ")"), let extent = UInt64(rest[..<end]) else { return nil }
            rest = rest[end...].dropFirst()
            if rest.first == "," {
                rest = rest.dropFirst()
                if rest.isEmpty { return nil }
            } else if !rest.isEmpty {
                return nil
            }
            guard let place = place(name, known?.index, extent) else { return nil }
            places.append(place)
        }
        return places
    }

    private func place(_ name: String, _ index: Int?, _ extent: UInt64) -> Segment.Place? {
        let (offset, overflow) = extent.multipliedReportingOverflow(by: extentSize)
        guard !overflow else { return nil }
        var index = index
        if index == nil, name == "[unknown]" {
            guard missing.count == 1 else { return .missing }
            index = missing.first
        }
        guard let index else { return .logicalVolume(name: name, offset: offset) }
        let (position, overflows) = offset.addingReportingOverflow(physicalVolumes[index].dataStart)
        return overflows ? nil : .physicalVolume(index: index, offset: position)
    }
}

private func bytes(_ text: String, _ field: String) throws(LVMError) -> UInt64 {
    guard let number = UInt64(text) else { throw .unreadable(reason: "\(field) is no number: \(text)") }
    return number
}

extension String {
    fileprivate var nonEmpty: String? { isEmpty ? nil : self }
}
