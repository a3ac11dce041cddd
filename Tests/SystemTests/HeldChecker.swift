import Foundation
import TestSupport

/// An e2fsck that waits until it is told to go on: the time in which everything is attached, for as long as a test wants.
enum HeldChecker {
    private static let program = "/usr/sbin/e2fsck"
    private static let original = "/usr/sbin/e2fsck.original"
    /// In the sandbox too.
    private static let signal = "/usr/share/virt-fsck-test-go-on"

    /// Replaces e2fsck for the time of `body`, which gets the run of virt-fsck as a task.
    ///
    /// - Parameter body: called when the checker waits.
    static func during<Value: Sendable>(
        repairOf domain: String, by engine: Engine, _ body: (Task<VirtFsck.Run, any Error>) async throws -> Value
    ) async throws -> Value {
        try? FileManager.default.removeItem(atPath: signal)
        if !HostSnapshot.exists(original) { try FileManager.default.copyItem(atPath: program, toPath: original) }
        let script = "\(VM.scratch)/held-e2fsck"
        try """
        #!/bin/sh
        until [ -e \(signal) ]; do sleep 0.1; done
        exec \(original) "$@"
        """.write(toFile: script, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
        try await Tool.output(of: "mount", ["--bind", script, program])
        let outcome: Result<Value, any Error>
        let running = Task { try await VM.repair(domain, engine: engine) }
        do {
            let isWaiting = await eventually(within: .seconds(60)) {
                HostSnapshot.processes.contains { $0.words.prefix(2) == ["/bin/sh", program] }
            }
            guard isWaiting else { throw TestProblem("the checker was not started: \(try await running.value)") }
            outcome = .success(try await body(running))
        } catch {
            goOn()
            _ = await running.result
            outcome = .failure(error)
        }
        goOn()
        _ = await running.result
        try await Tool.output(of: "umount", [program])
        return try outcome.get()
    }

    /// Lets the checker do its work.
    static func goOn() { _ = FileManager.default.createFile(atPath: signal, contents: nil) }
}

/// A volume group of the host itself, on a loop device that nobody locks: udev activates it when it appears. When it has,
/// udev also had its chance with what appeared before.
struct HostGroup {
    let loop: String
    let name: String
    let volume: String

    /// The name of its volume in device-mapper.
    var mapped: String { "\(name)-\(volume)" }

    /// Attaches a physical volume and waits until udev has activated its group.
    static func appear(_ image: Disk, name: String, volume: String) async throws -> HostGroup {
        let output = try await Tool.output(of: "losetup", ["--find", "--show", image.path])
        let group = HostGroup(
            loop: output.trimmingCharacters(in: .whitespacesAndNewlines), name: name, volume: volume)
        try await group.expectActivation()
        return group
    }

    /// Deactivates the group, pretends that its device changed, and waits until udev has activated it again.
    func reappear() async throws {
        try await Tool.output(of: "vgchange", ["-an", name, "--devices", loop])
        try await Tool.output(of: "udevadm", ["trigger", "--action=add", "/sys/block/\(loop.dropFirst(5))"])
        try await expectActivation()
    }

    func disappear() async throws {
        try await Tool.output(of: "vgchange", ["-an", name, "--devices", loop])
        try await Tool.output(of: "losetup", ["--detach", loop])
    }

    private func expectActivation() async throws {
        let isActive = await eventually(within: .seconds(30)) { HostSnapshot.take().mapped.contains(mapped) }
        guard isActive else { throw TestProblem("udev did not activate \(name) on \(loop)") }
    }
}
