import HostTools
import SystemPackage

/// One view of a domain's disks (the overlays, or the originals below them), from which any layout can be made a device.
protocol VolumeMapping: Sendable {
    /// Makes a layout a block device for the time of `body`. Each call gives a device of its own, with nothing cached of
    /// what was written through another: a fresh view.
    func withDevice<Value: Sendable>(
        for layout: Layout, access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value
}

/// By the kernel's device-mapper over whole disks that an engine attached. Names are our own, so that neither the kernel's
/// partition scan, nor udev, nor a volume group of the same name or UUID on the host matters.
struct DeviceMapping: VolumeMapping {
    /// The attached disks by target.
    let disks: [String: AttachedDevice]
    let run: String
    let names: NameSource

    func withDevice<Value: Sendable>(
        for layout: Layout, access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value {
        let name = names.next("virt-fsck-\(run)-")
        let mapped = try DeviceMapper.create(name: name, uuid: nil, table: try table(for: layout), access: access)
        return try await scoped {
            // Opened before anybody writes: a lost write shows at its fsync.
            let node = try DeviceNode.create(at: "/dev/virt-fsck/\(run)/\(name)", for: mapped.number)
            return try await scoped {
                let descriptor = try FileDescriptor.open(
                    FilePath(node.path), access == .readWrite ? .readWrite : .readOnly, options: [.closeOnExec])
                let below = layout.disks.compactMap { disks[$0] }
                return try await scoped {
                    try await body(
                        AttachedDevice(path: node.path, number: mapped.number) {
                            try Files.sync(descriptor)
                            for device in below { try device.sync() }
                        })
                } close: {
                    try descriptor.close()
                }
            } close: {
                try node.remove()
            }
        } close: {
            try DeviceMapper.remove(name: name)
        }
    }

    /// The device-mapper table of a layout; device-mapper counts in sectors of 512 bytes.
    private func table(for layout: Layout) throws -> [MappedExtent] {
        var start: UInt64 = 0
        return try layout.pieces.map { piece in
            let places = try piece.stripes.map { stripe in
                guard let device = disks[stripe.disk] else { throw DomainProblem("\(stripe.disk): is not attached") }
                return MappedExtent.Place(device: device.number, offset: stripe.offset / 512)
            }
            defer { start += piece.length / 512 }
            return MappedExtent(
                start: start, length: piece.length / 512,
                target: places.count == 1 ? .linear(places[0]) : .striped(chunk: piece.chunk / 512, places))
        }
    }
}
