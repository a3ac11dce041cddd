import Foundation
import Glibc
import TestSupport
import Testing

/// A repaired domain is started again, and nothing more is said than is known.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct StartTests {
    @Test(arguments: TestHost.engines)
    func `a repaired domain is started`(_ engine: String) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            let run = try await shop.virtFsck("repair", "--boot-timeout", "1", "--engine", engine)
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.committed == true)
            // The guest has nothing to boot: that it booted can't be said.
            #expect(run.domain?.boot.outcome == "unknown")
            #expect(run.domain?.boot.evidence.isEmpty == false)
            try #expect(await shop.state() == "running")
            let live = try await PrivateLibvirt.shared.virsh("domblklist", shop.name)
            #expect(live.contains(made.image))
        }
    }

    @Test func `a domain for which libvirt would wait is not started`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            let log = "\(shop.folder)/log"
            #expect(mkfifo(log, 0o600) == 0)
            try await shop.redefine([
                Workshop.disk(made.image, format: "qcow2"), "<serial type='pty'><log file='\(log)'/></serial>",
            ])
            let run = try await shop.virtFsck("repair")
            #expect(run.domain?.committed == true, "\(run)")
            #expect(run.domain?.boot.outcome == "failed", "\(run)")
            #expect(run.domain?.boot.evidence.contains("\(log): is a FIFO") == true, "\(run)")
            try #expect(await shop.state() == "shut off")
        }
    }

    @Test func `a clean domain is started too`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple(isDamaged: false)
            let run = try await shop.virtFsck("--no-wait")
            #expect(run.exitStatus == 0, "\(run)")
            #expect(run.domain?.committed == false)
            try #expect(await shop.state() == "running")
        }
    }

    @Test func `a guest whose agent is silent is no failed one, and is worth a look`() async throws {
        try await Workshop.with { shop in
            let agent = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
            try await shop.define([agent])
            try await PrivateLibvirt.shared.virsh("start", shop.name)
            let uri = PrivateLibvirt.shared.uri
            let all = try await VirtFsck.run(["list", "--all"], connect: uri)
            let line = try #require(all.output.split(separator: "\n").first { $0.contains(shop.name) })
            #expect(line.contains("no       no proof: it runs, and its guest agent is silent"), "\(all)")
            let failed = try await VirtFsck.run(["list"], connect: uri)
            #expect(!failed.output.contains(shop.name), "\(failed)")
            #expect(failed.errorOutput.contains("silent, which proves nothing: virt-fsck list --all"), "\(failed)")
        }
    }

    @Test(arguments: [["--no-start"], ["--start", "never"]])
    func `a domain that shall stay off stays off`(_ arguments: [String]) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let run = try await VirtFsck.run(["repair", "--json"] + arguments + [shop.name])
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.boot.outcome == "not-started")
            try #expect(await shop.state() == "shut off")
        }
    }

    @Test(arguments: [
        (["repair"], "shut off", "not-started"), (["repair", "--no-wait", "--start", "always"], "running", "unknown"),
    ])
    func `a domain that is not sound starts only when asked`(
        _ arguments: [String], _ state: String, _ outcome: String
    ) async throws {
        try await Workshop.with { shop in
            let file = "\(shop.disks)/disk.img"
            try await Filesystem.makeBeyondRepair(at: file)
            try await shop.define([Workshop.disk(file, format: "raw")])
            let run = try await VirtFsck.run(arguments + ["--json", shop.name])
            #expect(run.exitStatus == 4, "\(run)")
            #expect(run.domain?.boot.outcome == outcome)
            try #expect(await shop.state() == state)
        }
    }

    @Test func `a domain whose process was killed is repaired and started`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await PrivateLibvirt.shared.virsh("start", shop.name)
            let pid = try #require(try await PrivateLibvirt.shared.processOfDomain(shop.name))
            kill(pid, SIGKILL)
            try #expect(await eventually { try await shop.state() == "shut off" })
            let run = try await shop.virtFsck("repair", "--no-wait")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.stateReason == "crashed")
            try #expect(await shop.state() == "running")
        }
    }

    @Test func `a domain that does not start is said not to`() async throws {
        try await Workshop.with { shop in
            let image = "\(shop.disks)/disk.img"
            try await Filesystem.ext4.make(at: image)
            try await Filesystem.ext4.damage(image)
            // Not looked at by virt-fsck, and missed by libvirt.
            try await shop.define([
                Workshop.disk(image, format: "raw"),
                Workshop.disk("\(shop.folder)/missing.iso", format: "raw", target: "sda", device: "cdrom", bus: "sata"),
            ])
            let run = try await shop.virtFsck("repair")
            #expect(run.exitStatus == 3, "\(run)")
            #expect(run.domain?.committed == true)
            #expect(run.domain?.boot.outcome == "failed")
            #expect(run.domain?.boot.evidence.contains("missing.iso") == true)
        }
    }
}
