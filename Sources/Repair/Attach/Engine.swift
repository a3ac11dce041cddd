import HostTools

/// A node of the storage daemon as a block device of the host.
struct AttachedDevice: Sendable {
    /// Its node in /dev.
    let path: String
    /// The device.
    let number: DeviceNumber
    /// Makes sure that everything written is in the overlay and on its disk, through a descriptor that was opened before
    /// anybody wrote: a lost write shows only there.
    let sync: @Sendable () throws -> Void
}

/// A way to make nodes of the storage daemon block devices of the host. Everything after it is the same for each.
protocol Engine: Sendable {
    /// Attaches a node for the time of `body`. The device is locked from before it has content until it is gone.
    func withDevice<Value: Sendable>(
        on node: String, access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value
}

/// What both engines work with.
struct EngineContext: Sendable {
    let daemon: StorageDaemon
    let runner: any CommandRunner
    let folders: RunFolders
    let names: NameSource
}
