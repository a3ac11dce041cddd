import HostTools
import SystemPackage

/// Gives everything on the overlays but the proven volumes its original bytes back, and compares.
///
/// A checker that finds nothing still writes the superblock's times, and a guest with dm-verity or a signed image would not boot
/// with that; and what a checker made of a volume that it could not repair must not reach the disk. Nothing outside the
/// proven volumes is trusted to be untouched: each byte that the overlay holds there is compared with the disk's.
struct Restoration<Mapping: VolumeMapping>: Sendable {
    let overlays: Mapping
    /// The disks below them.
    let originals: Mapping
    let runner: any CommandRunner

    /// Restores every disk that is to be merged.
    ///
    /// - Parameters:
    ///   - disks: the overlays that will be merged; everything that was written to them was synced.
    ///   - volumes: the proven ones, which keep their new content.
    /// - Throws: ``DomainProblem`` where the bytes are not the same afterwards; what a device says of its failure.
    func run(on disks: [Overlays.Overlay], except volumes: Set<Volume>) async throws {
        let kept = volumes.flatMap { $0.layout?.places ?? [] }
        for overlay in disks {
            let disk = overlay.disk
            let ranges = ByteRanges.difference(
                try await QemuImage(runner: runner).allocatedRanges(ofOverlay: overlay.path),
                kept.filter { $0.disk == disk.target }.map(\.range))
            guard !ranges.isEmpty else { continue }
            let whole = Layout(disk: disk.target, offset: 0, length: disk.size)
            let hasRestored = try await originals.withDevice(for: whole, access: .readOnly) { original in
                try await overlays.withDevice(for: whole, access: .readWrite) { overlay in
                    let places = try differences(of: overlay, from: original, in: ranges, restoring: true)
                    if !places.isEmpty { try overlay.sync() }
                    return !places.isEmpty
                }
            }
            guard hasRestored else { continue }
            // A fresh view of both, with nothing cached of what was just written.
            let left = try await originals.withDevice(for: whole, access: .readOnly) { original in
                try await overlays.withDevice(for: whole, access: .readOnly) { overlay in
                    try differences(of: overlay, from: original, in: ranges, restoring: false)
                }
            }
            guard let place = left.first else { continue }
            throw DomainProblem(
                "\(disk.target): the overlay differs from the disk at byte \(place), outside of what was repaired, and could "
                    + "not be restored; nothing is merged")
        }
    }

    /// Where pieces of the overlay differ from the original, in bytes from the disk's start.
    private func differences(
        of overlay: AttachedDevice, from original: AttachedDevice, in ranges: [Range<UInt64>], restoring: Bool
    ) throws -> [UInt64] {
        let source = try FileDescriptor.open(FilePath(original.path), .readOnly, options: [.closeOnExec])
        defer { try? source.close() }
        let target = try FileDescriptor.open(
            FilePath(overlay.path), restoring ? .readWrite : .readOnly, options: [.closeOnExec])
        defer { try? target.close() }
        var places: [UInt64] = []
        for range in ranges {
            for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.pieceLength) {
                try Task.checkCancellation()
                let count = Int(min(UInt64(Self.pieceLength), range.upperBound - start))
                let wanted = try Files.bytes(of: source, at: start, count: count)
                guard try Files.bytes(of: target, at: start, count: count) != wanted else { continue }
                places.append(start)
                if restoring { try target.writeAll(toAbsoluteOffset: Int64(start), wanted) }
            }
        }
        return places
    }

    private static var pieceLength: Int { 1 << 20 }
}

/// Ranges of bytes in order. Pure.
enum ByteRanges {
    /// The parts of some ranges that are in none of others.
    ///
    /// - Returns: ranges in order, none of them empty.
    static func difference(_ ranges: [Range<UInt64>], _ others: [Range<UInt64>]) -> [Range<UInt64>] {
        let others = others.filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
        var left: [Range<UInt64>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            var start = range.lowerBound
            for other in others where other.upperBound > start && other.lowerBound < range.upperBound {
                if other.lowerBound > start { left.append(start..<other.lowerBound) }
                start = other.upperBound
            }
            if start < range.upperBound { left.append(start..<range.upperBound) }
        }
        return left
    }
}
