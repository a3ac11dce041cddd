import Foundation
import TestSupport

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
        let isActive = await eventually { HostSnapshot.take().mapped.contains(mapped) }
        guard isActive else { throw TestProblem("udev did not activate \(name) on \(loop)") }
    }
}
