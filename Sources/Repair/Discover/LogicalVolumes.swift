import HostTools

/// Turns LVM's report into volumes: each logical volume's extents become places on the domain's disks. Pure.
///
/// A logical volume that spans two disks is nothing special here: its layout has pieces on both.
struct LogicalVolumes {
    /// The logical volumes, and what LVM could not explain.
    private(set) var volumes: [Volume] = []
    /// Names of the regions that are accounted for: physical volumes of a group that could be read.
    private(set) var explained: Set<String> = []

    /// - Parameters:
    ///   - members: the region behind each device that LVM was shown, by the device's path.
    init(report: LVMReport, members: [String: Volume]) {
        for group in report.volumeGroups {
            let regions = group.physicalVolumes.map { $0.device.flatMap { members[$0] } }
            explained.formUnion(regions.compactMap { $0?.name })
            for volume in group.logicalVolumes where volume.kind != .hidden {
                volumes.append(Self.volume(volume, in: group, regions: regions))
            }
        }
        refuseOverlaps()
    }

    /// LVM gives an extent to one volume only. Metadata that say otherwise are damaged or forged, and a repair of one volume
    /// would break the other after it was proven.
    private mutating func refuseOverlaps() {
        var places: [String: [(start: UInt64, end: UInt64, index: Int)]] = [:]
        for (index, volume) in volumes.enumerated() {
            for (disk, range) in volume.layout?.places ?? [] {
                places[disk, default: []].append((range.lowerBound, range.upperBound, index))
            }
        }
        var partners: [Int: Int] = [:]
        for places in places.values {
            var furthest: (end: UInt64, index: Int)?
            for place in places.sorted(by: { $0.start < $1.start }) {
                if let other = furthest, place.start < other.end {
                    partners[place.index] = other.index
                    partners[other.index] = partners[other.index] ?? place.index
                }
                if place.end > furthest?.end ?? 0 { furthest = (place.end, place.index) }
            }
        }
        let names = volumes.map(\.name)
        for (index, partner) in partners {
            volumes[index].layout = nil
            volumes[index].content = .unclear(
                type: "", why: "its LVM metadata is damaged: it has extents that \(names[partner]) has too")
        }
    }

    private static func volume(_ volume: LogicalVolume, in group: VolumeGroup, regions: [Volume?]) -> Volume {
        let home = regions.compactMap { $0 }.first
        var result = Volume(
            name: "\(group.name)/\(volume.name)", layout: nil, content: .unclear(type: "", why: ""),
            size: volume.size, disk: home?.disk ?? "")
        if let reason = reasonNotToTouch(volume, in: group) {
            result.content = reason
            return result
        }
        guard let layout = Layout(volume, regions: regions) else {
            result.content = .unclear(type: "", why: "its extents lie outside the domain's disks")
            return result
        }
        result.layout = layout
        result.disk = layout.pieces.first?.stripes.first?.disk ?? result.disk
        return result
    }

    private static func reasonNotToTouch(_ volume: LogicalVolume, in group: VolumeGroup) -> Volume.Content? {
        if group.isAmbiguous {
            return .unclear(
                type: "",
                why:
                    "volume group \(group.name) has several copies of a physical volume; it can't be told which is meant"
            )
        }
        switch volume.kind {
        case .plain: break
        case .pool: return .nothingToCheck(type: "", why: "a pool, which holds no filesystem itself")
        case .snapshot: return .nothingToCheck(type: "", why: "a snapshot of \(volume.origin ?? "another volume")")
        case .snapshotOrigin:
            return .unclear(
                type: "", why: "has snapshots, which writing beside LVM would break; remove or merge them first")
        case .thin, .other, .hidden:
            return .unsupported(
                type: "",
                why:
                    "a logical volume of type \(volume.layout.joined(separator: ",")) needs LVM's own activation, which "
                    + "virt-fsck does not do; check it in the guest")
        }
        switch volume.defect {
        case nil: return nil
        case .missingPhysicalVolume:
            return .unclear(type: "", why: "needs a physical volume that is on none of the domain's disks")
        case .segmentsDoNotFit: return .unclear(type: "", why: "its LVM metadata is damaged: the segments do not fit")
        case .pastEndOfDevice:
            return .unclear(type: "", why: "reaches past the end of its physical volume: is the image truncated?")
        case .unreadable: return .unclear(type: "", why: "its LVM metadata could not be understood")
        }
    }
}

extension Layout {
    /// Places of a linear or striped logical volume; nil where they are not all in the given regions.
    fileprivate init?(_ volume: LogicalVolume, regions: [Volume?]) {
        var pieces: [Piece] = []
        for segment in volume.segments {
            var stripes: [Extent] = []
            let areaLength = segment.areas.isEmpty ? 0 : segment.length / UInt64(segment.areas.count)
            for area in segment.areas {
                guard case .physicalVolume(let index, let offset) = area, regions.indices.contains(index),
                    let region = regions[index]?.layout, let place = region.singleExtent
                else { return nil }
                let (end, overflow) = offset.addingReportingOverflow(areaLength)
                guard !overflow, end <= region.length else { return nil }
                stripes.append(Extent(disk: place.disk, offset: place.offset + offset))
            }
            guard !stripes.isEmpty else { return nil }
            pieces.append(
                Piece(length: segment.length, stripes: stripes, chunk: stripes.count > 1 ? segment.stripeSize : 0))
        }
        guard !pieces.isEmpty else { return nil }
        self.init(pieces: pieces)
    }
}
