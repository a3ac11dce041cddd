/// Which files and block devices of this host lie on which others: two names for the same bytes are found out here.
///
/// Partitions, loop devices and linear device-mapper devices are known byte by byte, so that two partitions of one disk are
/// nothing to each other; of striped ones the places are known, not their order; of other devices (mirrored, encrypted, md, bcache,
/// nbd) only what they lie on.
public struct HostStorage: Sendable {
    /// A device of the host, with what it lies on.
    struct Device: Sendable {
        /// The kernel's name: `loop0`, `dm-3`.
        var name: String
        var kind: Kind
        /// What it lies on: every byte in order, or with ``isOpaque`` no more than which bytes it may be.
        var lower: [StorageExtent] = []
        /// Whether it is not known which byte lies where.
        var isOpaque = false
    }

    /// How a device came to be.
    enum Kind: Hashable, Sendable {
        case disk
        case partition
        case loop(file: String)
        case nbd(process: String)
        /// Device-mapper, with its name.
        case mapped(String)
        case array
        case other
    }

    var devices: [DeviceNumber: Device]
    private var extents: [StorageNode: [StorageExtent]] = [:]

    init(devices: [DeviceNumber: Device]) {
        self.devices = devices
        for number in devices.keys { extents[.device(number)] = flattened(.device(number), depth: 0) }
    }

    /// Everything that has a byte in common with a file or device, itself included.
    public func sharing(_ node: StorageNode) -> Set<StorageNode> {
        var places = extents(of: node)
        var shared = overlapping(places).union([node])
        // What lies on any of it without telling where, and what is made of that.
        var isGrowing = true
        while isGrowing {
            isGrowing = false
            for (number, device) in devices where device.isOpaque && !shared.contains(.device(number)) {
                let lower = device.lower.flatMap(self.places)
                guard lower.contains(where: { one in places.contains { $0.overlaps(one) } }) else { continue }
                let own = extents(of: .device(number))
                shared.formUnion(overlapping(own))
                places += own
                isGrowing = true
            }
        }
        return shared.union(below(node))
    }

    /// What a device lies on, down to the last, and what has bytes in common with that; nothing for a file.
    func below(_ node: StorageNode) -> Set<StorageNode> {
        var found: Set<StorageNode> = []
        var next = [node]
        while let node = next.popLast() {
            for base in bases(of: node) {
                for other in overlapping(places(of: base)).union([base.node]) where found.insert(other).inserted {
                    next.append(other)
                }
            }
        }
        return found
    }

    /// Whether a device is a part of what `node` is made of, and no use of it.
    func isFoundation(_ other: StorageNode, of node: StorageNode) -> Bool {
        var seen: Set<StorageNode> = []
        var next = [node]
        while let node = next.popLast() {
            for lower in lower(of: node) where seen.insert(lower).inserted {
                if lower == other { return true }
                next.append(lower)
            }
        }
        return false
    }

    private func lower(of node: StorageNode) -> [StorageNode] {
        guard case .device(let number) = node else { return [] }
        return devices[number]?.lower.map(\.node) ?? []
    }

    /// What an opaque device, or one that is made of parts of opaque ones, lies on.
    private func bases(of node: StorageNode) -> [StorageExtent] {
        extents(of: node).flatMap { extent -> [StorageExtent] in
            guard case .device(let number) = extent.node, let device = devices[number], device.isOpaque else {
                return []
            }
            return device.lower
        }
    }

    /// Everything that has one of these places: a device is a place in what it lies on; what it lies on has all its places.
    private func overlapping(_ places: [StorageExtent]) -> Set<StorageNode> {
        var found = Set(places.map(\.node))
        for (other, theirs) in extents where theirs.contains(where: { one in places.contains { $0.overlaps(one) } }) {
            found.insert(other)
        }
        return found
    }

    /// A place as places of the last things below it whose bytes are known.
    private func places(of extent: StorageExtent) -> [StorageExtent] {
        cut(extents(of: extent.node), to: extent.range)
    }

    private func extents(of node: StorageNode) -> [StorageExtent] {
        extents[node] ?? [StorageExtent(node: node, range: 0..<UInt64.max)]
    }

    /// A device as places of the last things below it whose bytes are known.
    private func flattened(_ node: StorageNode, depth: Int) -> [StorageExtent] {
        let itself = [StorageExtent(node: node, range: 0..<UInt64.max)]
        guard depth < 16, case .device(let number) = node, let device = devices[number], !device.isOpaque,
            !device.lower.isEmpty
        else { return itself }
        return device.lower.flatMap { extent in
            cut(flattened(extent.node, depth: depth + 1), to: extent.range)
        }
    }

    /// The part of places, one after the other, that a range of them means.
    private func cut(_ places: [StorageExtent], to range: Range<UInt64>) -> [StorageExtent] {
        var start: UInt64 = 0
        var parts: [StorageExtent] = []
        for place in places {
            let length = place.range.upperBound - place.range.lowerBound
            let (sum, overflow) = start.addingReportingOverflow(length)
            let end = overflow ? UInt64.max : sum
            let from = max(start, range.lowerBound)
            let to = min(end, range.upperBound)
            if from < to {
                let lowest = place.range.lowerBound + (from - start)
                parts.append(StorageExtent(node: place.node, range: lowest..<lowest + (to - from)))
            }
            start = end
        }
        return parts
    }
}
