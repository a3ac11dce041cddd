/// What holds bytes on this host, whatever path leads to it.
public enum StorageNode: Hashable, Sendable {
    /// A regular file.
    case file(FileIdentity)
    /// A block device: all its nodes are one.
    case device(DeviceNumber)

    /// What a path leads to; nil for what holds no bytes of a disk (a folder, a FIFO, a character device).
    public init?(_ status: FileStatus) {
        switch status.kind {
        case .regular: self = .file(status.identity)
        case .blockDevice: self = .device(DeviceNumber(dev: UInt(status.deviceNumber)))
        case .directory, .fifo, .other: return nil
        }
    }

    /// Whether two could be one file that different calls give different device numbers.
    func mayBe(_ other: StorageNode) -> Bool {
        guard case .file(let one) = self, case .file(let two) = other else { return self == other }
        return one.inode == two.inode
    }

    /// The file under a loop device that shows all of it, however many such devices lie between; anything else is its own.
    public var base: StorageNode {
        var node = self
        for _ in 0..<16 {
            guard case .device(let number) = node, let file = LoopDevice.wholeFile(under: number) else { break }
            node = file
        }
        return node
    }
}

/// A place in a file or a device.
struct StorageExtent: Hashable, Sendable {
    var node: StorageNode
    /// In bytes; without an end where that isn't known.
    var range: Range<UInt64>

    func overlaps(_ other: StorageExtent) -> Bool { node == other.node && range.overlaps(other.range) }
}
