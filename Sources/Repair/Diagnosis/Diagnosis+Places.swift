import HostTools

extension Diagnosis {
    /// Where a source of fstab is.
    enum Place: Hashable {
        /// That can't be told.
        case unclear
        /// Nothing goes by that name.
        case nowhere
        case volumes([VolumeResult])
    }

    func place(of source: Fstab.Source) -> Place {
        switch source {
        case .uuid(let uuid): return volumes { $0.uuid?.lowercased() == uuid.lowercased() }
        case .label(let label): return volumes { $0.label == label }
        case .logicalVolume(let group, let name):
            let place = volumes { $0.name == "\(group)/\(name)" }
            // Device-mapper has other names than LVM's, and a group may be on what can't be read.
            let isKnown = isComplete || volumes.contains { $0.volume.name.hasPrefix(group + "/") }
            return place == .nowhere && !isKnown ? .unclear : place
        case .partitionUUID(let uuid): return partition { $0.uuid?.lowercased() == uuid.lowercased() }
        case .partitionLabel(let label): return partition { $0.name == label }
        case .other: return .unclear
        }
    }

    private func volumes(where isIt: (Volume) -> Bool) -> Place {
        let found = volumes.filter { isIt($0.volume) }
        return found.isEmpty ? .nowhere : .volumes(found)
    }

    private func partition(where isIt: (Partition) -> Bool) -> Place {
        for disk in disks {
            guard let partition = disk.table?.partitions.first(where: isIt) else { continue }
            let name = Volume.name(ofPartition: partition.number, on: disk.target)
            return .volumes(volumes.filter { $0.volume.name == name })
        }
        return .nowhere
    }
}
