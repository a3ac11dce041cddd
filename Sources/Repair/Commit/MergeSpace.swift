import HostTools

/// Whether the filesystems of the disks have room for what a merge writes.
enum MergeSpace {
    /// What the merge of an overlay can need at most, in bytes: all that the overlay holds. A raw file can't grow by more than
    /// it lacks to be without holes; a block device doesn't grow.
    static func growth(of disk: FileStatus, format: String, byOverlay overlay: FileStatus) -> UInt64 {
        guard disk.kind == .regular else { return 0 }
        guard format == "raw" else { return overlay.allocated }
        return min(overlay.allocated, disk.size - min(disk.size, disk.allocated))
    }

    /// Looks before anything of the domain is changed.
    ///
    /// - Throws: ``DomainProblem`` where a merge could fill a filesystem.
    static func check(_ overlays: [Overlays.Overlay]) throws {
        var needed: [UInt64: (bytes: UInt64, filesystem: FilesystemStatus, path: String)] = [:]
        for overlay in overlays {
            let path = overlay.disk.path
            let growth = growth(
                of: try FileStatus(of: path), format: overlay.disk.format, byOverlay: try FileStatus(of: overlay.path))
            let filesystem = try FilesystemStatus(of: path)
            needed[filesystem.device, default: (0, filesystem, path)].bytes += growth
        }
        for (bytes, filesystem, path) in needed.values where bytes > filesystem.free {
            throw DomainProblem(
                "\(path): the repair is proven, and its merge may need \(Space.mebibytes(bytes)), but its filesystem has "
                    + "\(Space.mebibytes(filesystem.free)) free; the repair is thrown away, the disks are as they were: "
                    + "make room, and run this again")
        }
    }
}
