import Foundation
import Glibc
import HostTools
import SystemPackage

/// A device in a sandbox, for programs that are run as a checker is.
struct Cell {
    let sandbox: Sandbox
    /// What the device holds.
    let disk: String
    let runner: HostCommandRunner

    /// The path of the device inside.
    static let device = "/dev/vda1"

    init(_ folder: ScratchFolder, _ sandbox: Sandbox = Sandbox(.bubblewrap), size: Int64 = 1 << 20) throws {
        self.sandbox = sandbox
        disk = try folder.sparseFile("disk", size: size)
        runner = folder.runner
    }

    /// Runs a program as a checker is run.
    ///
    /// - Throws: also where a process of it still has the device open when it has ended.
    func run(
        _ program: String, _ arguments: [String], needing need: Sandbox.Need = .nothing,
        timeout: Duration = .seconds(600), outputLimit: Int = 16 << 20, log: FileDescriptor? = nil
    ) async throws -> CommandResult {
        let file = try FileDescriptor.open(FilePath(disk), .readWrite)
        defer { try? file.close() }
        let loop = try LoopDevice.attach(file)
        let node = try DeviceNode.create(
            at: "/dev/virt-fsck-test-\(getpid())-\(loop.number)", for: loop.deviceNumber, owner: Sandbox.userID,
            group: Sandbox.userID)
        let shown = Sandbox.Device(node: node.path, name: "vda1")
        let command = sandbox.confine(
            Command(program, arguments, timeout: timeout, outputLimit: outputLimit), to: [shown], needing: need)
        var result: CommandResult
        do {
            if let log {
                result = try await runner.run(command, log: log)
            } else {
                result = try await runner.run(command)
            }
        } catch {
            try? node.remove()
            try? loop.detach()
            throw error
        }
        result.status = sandbox.status(of: result.status)
        try loop.sync()
        try node.remove()
        try loop.detach(timeout: .seconds(180))
        return result
    }

    /// Runs a Python script, with the device as its argument.
    func python(
        _ script: String, timeout: Duration = .seconds(600), outputLimit: Int = 16 << 20, log: FileDescriptor? = nil
    ) async throws -> CommandResult {
        try await run(
            "python3", ["-I", "-S", "-c", script, Self.device], timeout: timeout, outputLimit: outputLimit, log: log)
    }

    /// Whether this machine can do it.
    static let isPossible =
        hasFUSEExport && ["bwrap", "python3"].allSatisfy { HostCommandRunner().path(of: $0) != nil }
}
