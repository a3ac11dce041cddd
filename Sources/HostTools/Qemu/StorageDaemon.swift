import Subprocess
public import SystemPackage

/// One `qemu-storage-daemon(1)`: it opens a domain's disks, puts overlays on them, exports them, and merges them, and so
/// holds QEMU's image locks from the first byte read to the last byte merged.
///
/// It is driven by QMP over its standard input and output, and lives on when we are killed: whoever recovers ends it.
public struct StorageDaemon: Sendable {
    /// Its process id.
    public let pid: Int32

    private let session: QMPSession

    /// Runs a daemon for the time of `body`; afterwards it has quit and holds no lock any more.
    ///
    /// - Parameter log: where its standard error goes.
    /// - Throws: what `body` throws; ``CommandError`` where it can't be started.
    public static func run<Value: Sendable>(
        by runner: any CommandRunner, log: FileDescriptor, _ body: (StorageDaemon) async throws -> Value
    ) async throws -> Value {
        let path = FilePath(try runner.requiredPath(of: "qemu-storage-daemon"))
        let (starts, start) = AsyncStream.makeStream(of: StorageDaemon.self)
        let (ends, end) = AsyncStream.makeStream(of: Never.self)
        // A task of its own: whoever cancels the body must not take the daemon away from under a merge or the cleaning up.
        let process = Task {
            defer { start.finish() }
            _ = try await Subprocess.run(
                .path(path), arguments: ["--chardev", "stdio,id=qmp", "--monitor", "qmp"],
                environment: HostEnvironment.value(.daemon), platformOptions: HostEnvironment.ownProcessGroup,
                input: .inputWriter, output: .sequence,
                error: .fileDescriptor(log, closeAfterSpawningProcess: false)
            ) { execution in
                try await converse(with: execution) { daemon in
                    start.yield(daemon)
                    for await _ in ends {}
                }
            }
        }
        let starting = Task { await starts.first { _ in true } }
        guard let daemon = await starting.value else {
            try await process.value
            throw QMPError.connectionLost(reason: "it did not start")
        }
        let outcome: Result<Value, any Error>
        do {
            outcome = .success(try await body(daemon))
        } catch {
            outcome = .failure(error)
        }
        end.finish()
        _ = await process.result
        return try outcome.get()
    }

    /// Listens to the daemon until `body` has ended, then makes it quit.
    private static func converse<Errors: ErrorOutputProtocol>(
        with execution: Execution<CustomWriteInput, SequenceOutput, Errors>,
        _ body: (StorageDaemon) async -> Void
    ) async throws {
        let writer = execution.standardInputWriter
        let group = RunningGroup()
        group.started(execution.processIdentifier.value)
        let session = QMPSession { _ = try await writer.write($0) }
        let listening = Task {
            var reason = QMPError.connectionLost(reason: "it ended unexpectedly")
            do {
                for try await line in execution.standardOutput.strings() { await session.receive(line) }
            } catch {
                reason = .connectionLost(reason: "\(error)")
            }
            await session.close(reason)
        }
        do {
            _ = try await session.execute("qmp_capabilities")
            await body(StorageDaemon(pid: execution.processIdentifier.value, session: session))
            _ = try await session.execute("quit", timeout: .seconds(60))
        } catch QMPError.timedOut {
            // One that hangs is ended by signals.
            group.stop(.timedOut)
        } catch {
            // It is gone already.
        }
        try? await writer.finish()
        await listening.value
        _ = group.ended()
    }

    /// Opens a disk read-only with its whole backing chain as node `node`; every format is given, none is probed.
    ///
    /// - Parameter chain: the disk's own layer first; not empty.
    public func open(_ chain: [ImageInfo], as node: String) async throws {
        var options: JSONValue = .null
        for layer in chain.reversed() {
            var members: [String: JSONValue] = [
                "driver": .string(layer.format), "read-only": true, "file": QemuImage.file(layer.path),
            ]
            if layer.backing != nil || layer.format == "qcow2" { members["backing"] = options }
            options = .object(members)
        }
        guard case .object(var members) = options else { return }
        members["node-name"] = .string(node)
        _ = try await session.execute("blockdev-add", .object(members))
    }

    /// Makes the empty file `path` a qcow2 overlay on `backing` and opens it as node `node` on top of node `base`.
    ///
    /// - Parameters:
    ///   - path: an existing file with the owner and mode that it shall have.
    ///   - size: virtual size in bytes.
    ///   - backing: the disk's path and format, written into the overlay's header.
    public func createOverlay(
        _ node: String, path: String, size: UInt64, over base: String, backing: ImageInfo
    ) async throws {
        _ = try await session.execute(
            "blockdev-add",
            ["node-name": .string("\(node)-file"), "driver": "file", "filename": .string(path)])
        try await run(
            job: "create-\(node)", "blockdev-create",
            [
                "options": [
                    "driver": "qcow2", "file": .string("\(node)-file"), "size": .integer(Int64(clamping: size)),
                    "backing-file": .string(backing.path), "backing-fmt": .string(backing.format),
                ]
            ])
        try await openOverlay(node, over: base)
    }

    /// Opens the overlay in the file `path` as node `node` on top of node `base`.
    public func openOverlay(_ node: String, path: String, over base: String) async throws {
        _ = try await session.execute(
            "blockdev-add",
            ["node-name": .string("\(node)-file"), "driver": "file", "filename": .string(path)])
        try await openOverlay(node, over: base)
    }

    private func openOverlay(_ node: String, over base: String) async throws {
        _ = try await session.execute(
            "blockdev-add",
            [
                "node-name": .string(node), "driver": "qcow2", "file": .string("\(node)-file"),
                "backing": .string(base),
            ])
    }

    /// Opens a part of a node as a node of its own. `offset` and `size` in bytes, multiples of 512.
    public func openSlice(_ node: String, of parent: String, offset: UInt64, size: UInt64) async throws {
        _ = try await session.execute(
            "blockdev-add",
            [
                "node-name": .string(node), "driver": "raw", "file": .string(parent),
                "offset": .integer(Int64(clamping: offset)), "size": .integer(Int64(clamping: size)),
            ])
    }

    /// Opens a vmdk description of extents in other files as node `node`; each extent is raw, none is probed.
    public func openJoint(_ description: String, as node: String, access: DeviceAccess) async throws {
        _ = try await session.execute(
            "blockdev-add",
            [
                "node-name": .string(node), "driver": "vmdk", "read-only": .bool(access == .readOnly),
                "file": ["driver": "file", "filename": .string(description)],
            ])
    }

    /// Closes a node that no other node and no export uses.
    public func close(_ node: String) async throws {
        _ = try await session.execute("blockdev-del", ["node-name": .string(node)])
    }

    /// Shows a node as the file `mountpoint`, an existing regular file.
    public func exportFUSE(_ node: String, id: String, mountpoint: String, access: DeviceAccess) async throws {
        _ = try await session.execute(
            "block-export-add",
            [
                "type": "fuse", "id": .string(id), "node-name": .string(node), "mountpoint": .string(mountpoint),
                "writable": .bool(access == .readWrite), "allow-other": "off",
            ])
    }

    /// Listens for NBD clients on a Unix socket.
    public func listenForNBD(socket: String) async throws {
        _ = try await session.execute(
            "nbd-server-start",
            ["addr": ["type": "unix", "data": ["path": .string(socket)]], "max-connections": 0])
    }

    /// Stops listening and removes the socket, which quitting alone would leave behind.
    public func stopListeningForNBD() async throws {
        _ = try await session.execute("nbd-server-stop")
    }

    /// Shows a node as the NBD export `id`.
    public func exportNBD(_ node: String, id: String, access: DeviceAccess) async throws {
        _ = try await session.execute(
            "block-export-add",
            [
                "type": "nbd", "id": .string(id), "name": .string(id), "node-name": .string(node),
                "writable": .bool(access == .readWrite),
            ])
    }

    /// Takes an export down and waits until it is gone.
    public func removeExport(_ id: String) async throws {
        _ = try await session.execute("block-export-del", ["id": .string(id), "mode": "hard"])
        _ = try await session.wait { $0.deletedExports.contains(id) }
    }

    /// Merges node `top` into node `base`, which becomes writable for that time. When this returns, everything is in
    /// `base` and flushed.
    ///
    /// - Parameter progress: called now and then with bytes done and bytes in all.
    public func merge(
        _ top: String, into base: String, progress: @Sendable @escaping (Int64, Int64) -> Void
    ) async throws {
        let job = "merge-\(top)"
        // `base-node` is said: QMP's default is the deepest image of the chain.
        _ = try await session.execute(
            "block-commit",
            [
                "job-id": .string(job), "device": .string(top), "base-node": .string(base), "auto-dismiss": false,
            ])
        let reporting = Task {
            while true {
                try await Task.sleep(for: .milliseconds(500))
                let state = try await self.state(of: job)
                progress(state?["current-progress"]?.integer ?? 0, state?["total-progress"]?.integer ?? 0)
            }
        }
        defer { reporting.cancel() }
        let seen = try await session.wait { ["ready", "concluded"].contains($0.jobs[job] ?? "") }
        if seen.jobs[job] == "ready" {
            _ = try await session.execute("job-complete", ["id": .string(job)])
        }
        try await conclude(job)
    }

    private func run(job: String, _ command: String, _ arguments: JSONValue) async throws {
        guard case .object(var members) = arguments else { return }
        members["job-id"] = .string(job)
        _ = try await session.execute(command, .object(members))
        try await conclude(job)
    }

    private func conclude(_ job: String) async throws {
        _ = try await session.wait { $0.jobs[job] == "concluded" }
        let failure = try await state(of: job)?["error"]?.string
        _ = try await session.execute("job-dismiss", ["id": .string(job)])
        if let failure { throw QMPError.jobFailed(job: job, reason: failure) }
    }

    private func state(of job: String) async throws -> JSONValue? {
        try await session.execute("query-jobs").elements.first { $0["id"]?.string == job }
    }
}
