import HostTools

/// What overlays may need, and whether there is room for it. Pure.
enum Space {
    /// What the overlay of a disk may need, in bytes.
    ///
    /// Nobody knows before the checker has run. This is a rule of thumb, not a measurement: 16 MiB and 1/256 of the disk, at
    /// most 1 GiB (a full journal, which a replay writes all of, is seldom larger), never more than the disk, and 1 MiB for the
    /// overlay's own tables. One that needs more stops when its filesystem is full, and the disk is what it was.
    static func estimate(forDiskOf size: UInt64) -> UInt64 {
        min(size, (16 << 20) + size / 256, 1 << 30) + (1 << 20)
    }

    /// Refusals for filesystems that are too small for all the overlays that go there.
    ///
    /// - Parameter places: the folders of the overlays, by path.
    static func refusals(for disks: [DiskPlan], places: [String: OverlayPlace]) -> [String] {
        var filesystems: [UInt64: (free: UInt64, needed: UInt64, folder: String, targets: [String])] = [:]
        for disk in disks {
            guard let filesystem = places[disk.overlayFolder]?.filesystem else { continue }
            var entry = filesystems[filesystem.device] ?? (filesystem.free, 0, disk.overlayFolder, [])
            entry.needed += estimate(forDiskOf: disk.size)
            entry.targets.append(disk.target)
            filesystems[filesystem.device] = entry
        }
        return filesystems.values.filter { $0.free < $0.needed }.map { entry in
            let overlays =
                entry.targets.count == 1 ? "the overlay of \(entry.targets[0])" : "\(entry.targets.count) overlays"
            return "\(entry.folder): has \(mebibytes(entry.free)) free, and \(overlays) may need "
                + "\(mebibytes(entry.needed)); make room, or give another folder: --scratch-dir DIR"
        }.sorted()
    }

    /// For messages: `17.3 MiB`.
    static func mebibytes(_ bytes: UInt64) -> String {
        let tenths = bytes / (1 << 10) * 10 / (1 << 10)
        return "\(tenths / 10).\(tenths % 10) MiB"
    }

    /// Refusals for the folder that the user asked for.
    static func refusal(forScratch folder: String, _ place: OverlayPlace?) -> String? {
        let volatile = ["/tmp", "/run", "/dev", "/var/run", "/var/tmp"]
        let another = "give another --scratch-dir"
        if volatile.contains(where: { folder == $0 || folder.hasPrefix($0 + "/") }) {
            return "\(folder): does not survive a reboot; \(another)"
        }
        // A place that nobody looked at.
        guard let place else { return nil }
        guard let status = place.folder else { return "\(folder): is missing; make it, or \(another)" }
        guard status.kind == .directory else { return "\(folder): is no folder; \(another)" }
        if place.filesystem?.isVolatile == true {
            return "\(folder): is on a filesystem in memory, which does not survive a reboot; \(another)"
        }
        if let problem = place.writeProblem { return "\(problem), or \(another)" }
        if let wall = place.wall {
            return "\(folder): QEMU's user may not search \(wall), so that the domain could not start from an overlay "
                + "there; permit it (chmod o+x), or \(another)"
        }
        return nil
    }
}
