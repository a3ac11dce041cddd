import HostTools
import SystemPackage

/// The daemon's FUSE export and a loop device with direct I/O on it. No kernel module, no limit of devices.
struct FUSEEngine: Engine {
    let context: EngineContext

    /// Why the host can't use it; nil where it can.
    static func problem(_ runner: any CommandRunner) async -> String? {
        guard await KernelModule.isAvailable("fuse", sign: "/sys/class/misc/fuse", runner) else {
            return "the kernel has no FUSE (/dev/fuse)"
        }
        guard await KernelModule.isAvailable("loop", sign: "/sys/class/misc/loop-control", runner) else {
            return "the kernel has no loop devices (/dev/loop-control)"
        }
        return nil
    }

    func withDevice<Value: Sendable>(
        on node: String, access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value {
        try await withFile(on: node, access: access) { path in
            let loop = try attachLoop(path, access: access)
            return try await scoped {
                // Shares our open file description: the lock outlives a kill -9 of ours, and udev stays away.
                let keeper = try await keeper(of: loop)
                return try await scoped {
                    try await body(
                        AttachedDevice(path: loop.path, number: loop.deviceNumber, sync: { try loop.sync() }))
                } close: {
                    await keeper.stop()
                }
            } close: {
                try loop.detach()
            }
        }
    }

    /// The node as a file of the host.
    private func withFile<Value: Sendable>(
        on node: String, access: DeviceAccess, _ body: (String) async throws -> Value
    ) async throws -> Value {
        let id = context.names.next("fuse")
        let path = "\(context.folders.runtime)/\(id)"
        try Files.create(path)
        let daemon = context.daemon
        return try await scoped {
            try await daemon.exportFUSE(node, id: id, mountpoint: path, access: access)
            return try await scoped {
                if access == .readWrite { try serialize(path) }
                return try await body(path)
            } close: {
                do {
                    try await daemon.removeExport(id)
                } catch {
                    // A daemon that died leaves its mount behind.
                    try Files.unmount(path)
                    throw error
                }
            }
        } close: {
            try Files.remove(path)
        }
    }

    private func serialize(_ path: String) throws {
        let folder = "\(context.folders.runtime)/\(context.names.next("fusectl"))"
        try Files.makeFolder(folder)
        defer { try? Files.removeFolder(folder) }
        try FUSEConnection.serialize(path, mountingAt: folder)
    }

    private func attachLoop(_ path: String, access: DeviceAccess) throws -> LoopDevice {
        let file = try FileDescriptor.open(
            FilePath(path), access == .readWrite ? .readWrite : .readOnly, options: [.closeOnExec])
        defer { try? file.close() }
        return try LoopDevice.attach(file, access: access)
    }

    private func keeper(of loop: LoopDevice) async throws -> BackgroundProcess {
        let log = try context.folders.openLog("run")
        defer { try? log.close() }
        let descriptor = try loop.withDescriptor { try $0.duplicate() }
        defer { try? descriptor.close() }
        return try await BackgroundProcess.start(
            Command("sleep", "infinity"), by: context.runner, standardInput: descriptor, log: log)
    }
}
