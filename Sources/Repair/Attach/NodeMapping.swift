import HostTools

/// Where the kernel has no device-mapper: a node of the daemon with offset and size, and an export of its own. A loop
/// device never has an offset: its ioctls could move it.
struct NodeMapping<SomeEngine: Engine>: VolumeMapping {
    /// The daemon's node of each disk, by target.
    let nodes: [String: String]
    let engine: SomeEngine
    let context: EngineContext

    func withDevice<Value: Sendable>(
        for layout: Layout, access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value {
        guard let extent = layout.singleExtent else { return try await withJoint(of: layout, access: access, body) }
        guard let parent = nodes[extent.disk] else { throw DomainProblem("\(extent.disk): is not attached") }
        let slice = context.names.next("slice")
        let daemon = context.daemon
        try await daemon.openSlice(slice, of: parent, offset: extent.offset, size: layout.length)
        return try await scoped {
            try await engine.withDevice(on: slice, access: access, body)
        } close: {
            try await daemon.close(slice)
        }
    }

    /// A layout whose extents lie apart: the disks that it is on become devices, and a second daemon joins the extents.
    private func withJoint<Value: Sendable>(
        of layout: Layout, access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value {
        let engine = engine
        let nodes = nodes
        return try await withAll(layout.disks.sorted()[...]) { disk, inner in
            guard let node = nodes[disk] else { throw DomainProblem("\(disk): is not attached") }
            return try await engine.withDevice(on: node, access: access) { try await inner((disk, $0)) }
        } body: { (lent: [(String, AttachedDevice)]) in
            let joint = Joint(layout: layout, disks: Dictionary(uniqueKeysWithValues: lent), context: context)
            return try await joint.withDevice(access: access, body)
        }
    }
}
