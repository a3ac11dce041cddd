import HostTools

/// Whether the filesystems of the disks have room for what a merge writes.
enum MergeSpace {
    /// What the merge of an overlay can need at most, in bytes: all that the overlay holds, in the disk's own clusters. A raw file
    /// can't grow by more than it lacks to be without holes; a block device doesn't grow.
    ///
    /// - Parameter clusters: what the overlay touches of the disk, in bytes; see ``touched(_:clusterSize:)``.
    static func growth(
        of disk: FileStatus, format: String, byOverlay overlay: FileStatus, clusters: UInt64 = 0
    ) -> UInt64 {
        guard disk.kind == .regular else { return 0 }
        guard format == "raw" else { return max(overlay.allocated, clusters) }
        return min(overlay.allocated, disk.size - min(disk.size, disk.allocated))
    }

    /// How many bytes the clusters have that some ranges lie in: a cluster of 2 MiB is copied whole for a single byte.
    ///
    /// - Parameter ranges: in order, none of them in another.
    static func touched(_ ranges: [Range<UInt64>], clusterSize: UInt64) -> UInt64 {
        var count: UInt64 = 0
        var next: UInt64 = 0
        for range in ranges where !range.isEmpty {
            let first = max(next, range.lowerBound / clusterSize)
            let end = (range.upperBound - 1) / clusterSize + 1
            if end > first { count += end - first }
            next = max(next, end)
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: clusterSize)
        return overflow ? .max : bytes
    }

    /// Looks before anything of the domain is changed.
    ///
    /// - Throws: ``DomainProblem`` where a merge could fill a filesystem; ``CommandError``.
    static func check(_ overlays: [Overlays.Overlay], _ runner: any CommandRunner) async throws {
        var needed: [UInt64: (bytes: UInt64, filesystem: FilesystemStatus, path: String)] = [:]
        for overlay in overlays {
            let path = overlay.disk.path
            var clusters: UInt64 = 0
            if overlay.disk.format == "qcow2", let header = Qcow2Header(of: path) {
                clusters = touched(
                    try await QemuImage(runner: runner).allocatedRanges(ofOverlay: overlay.path),
                    clusterSize: header.clusterSize)
            }
            let growth = growth(
                of: try FileStatus(of: path), format: overlay.disk.format, byOverlay: try FileStatus(of: overlay.path),
                clusters: clusters)
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
