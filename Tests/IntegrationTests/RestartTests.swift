import Foundation
import Glibc
import TestSupport
import Testing

/// libvirtd is restarted while a guest boots: the guest goes on without it, and so does whoever waits for it.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct RestartTests {
    @Test(arguments: ["verified", "after-boot"])
    func `a guest that says after the restart that it is up has booted`(_ commit: String) async throws {
        try await PrivateLibvirt.withOne { libvirt, shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.login, then: .answers, on: libvirt)
            let xml = try await libvirt.virsh("dumpxml", "--inactive", shop.name)
            let waiting = try await Waiting.start(
                ["--commit", commit, "--boot-timeout", "400"], on: shop, of: libvirt)
            try await libvirt.kill()
            try await libvirt.ready()
            let asking = Task { try await self.ask(shop.name, of: libvirt) }
            let run = try await waiting.run.value
            asking.cancel()
            #expect(run.exitStatus == 1, "\(run) \(waiting.said)")
            #expect(run.domain?.outcome == "repaired", "\(run)")
            #expect(run.domain?.committed == true)
            #expect(run.domain?.boot.outcome == "booted", "\(run)")
            #expect(run.domain?.boot.evidence.contains("test login:") == true, "\(run)")
            #expect(waiting.said.contains("libvirtd is back"), "\(waiting.said)")
            try #expect(await libvirt.virsh("domstate", shop.name).hasPrefix("running"))
            try #expect(await libvirt.virsh("dumpxml", "--inactive", shop.name) == xml)
            #expect(guest.remains() == [])
            try await destroy(shop.name, of: libvirt)
            try await guest.expectRepaired()
        }
    }

    @Test func `a guest that went off meanwhile is not waited for`() async throws {
        try await PrivateLibvirt.withOne { libvirt, shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence, on: libvirt)
            let waiting = try await Waiting.start(
                ["--commit", "after-boot", "--boot-timeout", "400"], on: shop, of: libvirt)
            let process = try #require(try await libvirt.processOfDomain(shop.name))
            try await libvirt.kill()
            kill(process, SIGKILL)
            try await libvirt.ready()
            let run = try await waiting.run.value
            #expect(run.exitStatus == 6, "\(run)")
            #expect(run.domain?.boot.outcome == "failed", "\(run)")
            #expect(guest.remains() == [])
            try #expect(await guest.isUntouched())
        }
    }

    @Test func `without libvirtd a boot is not known`() async throws {
        try await PrivateLibvirt.withOne { libvirt, shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence, on: libvirt)
            let waiting = try await Waiting.start(["--boot-timeout", "20"], on: shop, of: libvirt)
            try await libvirt.kill()
            let run = try await waiting.run.value
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.outcome == "repaired", "\(run)")
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            #expect(
                run.domain?.boot.evidence == "the connection to libvirt broke before there was proof", "\(run)")
            #expect(guest.remains() == [])
        }
    }

    @Test(arguments: ["--keep", "--discard"])
    func `without libvirtd a repair on trial waits for a decision`(_ decision: String) async throws {
        try await PrivateLibvirt.withOne { libvirt, shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence, on: libvirt)
            let xml = try await libvirt.virsh("dumpxml", "--inactive", shop.name)
            let waiting = try await Waiting.start(
                ["--commit", "after-boot", "--boot-timeout", "20"], on: shop, of: libvirt)
            try await libvirt.kill()
            let run = try await waiting.run.value
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            #expect(run.domain?.boot.evidence.contains("the connection to libvirt broke") == true, "\(run)")
            #expect(run.domain?.boot.evidence.contains("recover --keep \(shop.name)") == true, "\(run)")
            #expect(run.domain?.committed == false)
            #expect(guest.remains().count == 2)
            try #expect(await guest.isUntouched())

            try await libvirt.ready()
            try #expect(await libvirt.virsh("domstate", shop.name).hasPrefix("running"))
            if decision == "--discard" { try await destroy(shop.name, of: libvirt) }
            let recovery = try await VirtFsck.run(["recover", decision, shop.name], connect: libvirt.uri)
            #expect(recovery.exitStatus == 0, "\(recovery)")
            #expect(guest.remains() == [])
            try #expect(await libvirt.virsh("dumpxml", "--inactive", shop.name) == xml)
            if decision == "--keep" {
                try #expect(await libvirt.virsh("domstate", shop.name).hasPrefix("running"))
                try await destroy(shop.name, of: libvirt)
                try await guest.expectRepaired()
            } else {
                try #expect(await guest.isUntouched())
            }
        }
    }

    private func destroy(_ domain: String, of libvirt: PrivateLibvirt) async throws {
        // Fails where libvirtd, which is only just finding its domains again, notices first that it is off.
        _ = try? await libvirt.virsh("destroy", domain)
        try #expect(await libvirt.virsh("domstate", domain).hasPrefix("shut off"))
    }

    /// Presses a key on the guest's console, again and again: nobody may be listening when it answers.
    private func ask(_ domain: String, of libvirt: PrivateLibvirt) async throws {
        let console = try await libvirt.virsh("ttyconsole", domain).trimmingCharacters(in: .whitespacesAndNewlines)
        while !Task.isCancelled {
            if let terminal = FileHandle(forWritingAtPath: console) {
                try? terminal.write(contentsOf: Data("x".utf8))
                try? terminal.close()
            }
            try await Task.sleep(for: .milliseconds(300))
        }
    }
}
