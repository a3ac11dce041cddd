import HostTools
import SystemPackage

/// The daemon's NBD export on a Unix socket, and `qemu-nbd --connect` on it.
struct NBDEngine: Engine {
    let context: EngineContext

    /// Why the host can't use it; nil where it can.
    static func problem(_ runner: any CommandRunner) async -> String? {
        do {
            try runner.requiredPath(of: "qemu-nbd")
        } catch {
            return error.description
        }
        guard await KernelModule.isAvailable("nbd", sign: "/sys/module/nbd", runner) else {
            return "the kernel has no module nbd"
        }
        return nil
    }

    /// Loads the module and has the daemon listen on its socket for the time of `body`.
    func listening<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        try await KernelModule.load("nbd", sign: "/sys/module/nbd", context.runner)
        let daemon = context.daemon
        try await daemon.listenForNBD(socket: socket)
        return try await scoped(body) {
            try await daemon.stopListeningForNBD()
        }
    }

    func withDevice<Value: Sendable>(
        on node: String, access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value {
        let export = context.names.next("nbd")
        let daemon = context.daemon
        try await daemon.exportNBD(node, id: export, access: access)
        return try await scoped {
            let device = try NBDDevice.claim()
            return try await scoped {
                let client = try await connect(device, to: export, access: access)
                return try await scoped {
                    try await client.waitUntil("\(device.path): not connected by qemu-nbd") { device.isConnected }
                    try device.forgetPartitions()
                    return try await body(
                        AttachedDevice(path: device.path, number: device.number, sync: { try device.sync() }))
                } close: {
                    // INT makes qemu-nbd disconnect the device and end.
                    await client.process.stop()
                }
            } close: {
                // The size stays stale while we hold the device open: close first, then look.
                device.release()
                try await Deadline.wait(for: .seconds(10), "\(device.path): is still connected") { device.isGone }
            }
        } close: {
            try await daemon.removeExport(export)
        }
    }

    private var socket: String { "\(context.folders.runtime)/nbd.sock" }

    private func connect(
        _ device: NBDDevice, to export: String, access: DeviceAccess
    ) async throws -> Client {
        // Raw is said, not probed: what the guest wrote is no image to us.
        let source: JSONValue = [
            "driver": "raw",
            "file": [
                "driver": "nbd", "export": .string(export), "server": ["type": "unix", "path": .string(socket)],
            ],
        ]
        // -v keeps it in the foreground, so that its standard input, the locked device, stays open in it.
        var arguments = ["-v", "--connect=\(device.path)"]
        if access == .readOnly { arguments.append("--read-only") }
        arguments.append("json:\(try source.text)")
        let log = try context.folders.openLog("run")
        defer { try? log.close() }
        return Client(
            process: try await BackgroundProcess.start(
                Command("qemu-nbd", arguments), by: context.runner, standardInput: device.descriptor, log: log))
    }

    private struct Client: Sendable {
        let process: BackgroundProcess

        func waitUntil(_ problem: String, _ condition: @Sendable @escaping () -> Bool) async throws {
            try await Deadline.wait(for: .seconds(30), problem) { condition() || process.hasEnded }
            guard condition() else { throw DomainProblem("\(problem); its words are in the run's log") }
        }
    }
}
