import Foundation
import Glibc
import TestSupport
import Testing

/// `--commit after-boot`: the guest decides what becomes of its repair.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct TrialTests {
    @Test(arguments: [Storage.qcow2, .raw])
    func `a guest that boots keeps the repair, and runs on`(_ storage: Storage) async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.login, storage)
            let xml = try await shop.xml()
            let run = try await guest.afterBoot()
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.outcome == "repaired")
            #expect(run.domain?.committed == true)
            #expect(run.domain?.boot.outcome == "booted")
            #expect(run.domain?.boot.evidence.contains("test login:") == true)
            try #expect(await shop.state() == "running")
            try #expect(await shop.xml() == xml)
            let live = try await PrivateLibvirt.shared.virsh("domblklist", shop.name)
            #expect(live.contains(guest.image))
            #expect(guest.remains() == [])
            try await PrivateLibvirt.shared.virsh("destroy", shop.name)
            try await guest.expectRepaired()
        }
    }

    @Test(arguments: [Storage.qcow2, .raw])
    func `a guest that panics gets its disk back as it was`(_ storage: Storage) async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.panic, storage)
            let before = try await shop.snapshot()
            let run = try await guest.afterBoot()
            #expect(run.exitStatus == 6, "\(run)")
            #expect(run.domain?.outcome == "repairable")
            #expect(run.domain?.committed == false)
            #expect(run.domain?.boot.outcome == "failed")
            #expect(run.domain?.boot.evidence.contains("Kernel panic - not syncing: x") == true)
            #expect(run.domain?.message.contains("its disks are as they were") == true)
            try #expect(await shop.state() == "shut off")
            #expect(guest.remains() == [])
            try #expect(await guest.isUntouched())
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a guest that powers itself off gets its disk back as it was`() async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: "\r\nbye\r\n", then: .powersOff)
            let before = try await shop.snapshot()
            let run = try await guest.afterBoot("--boot-timeout", "400")
            #expect(run.exitStatus == 6, "\(run)")
            #expect(run.domain?.boot.outcome == "failed")
            #expect(
                run.domain?.boot.evidence == "it is off again (shutdown); its console's last line: bye", "\(run)")
            #expect(guest.remains() == [])
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `the memory of a guest that somebody saves meanwhile is not parted from its overlay`() async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence)
            let before = try await shop.snapshot()
            let waiting = try await Waiting.start(["--commit", "after-boot"], on: shop)
            try await PrivateLibvirt.shared.virsh("managedsave", shop.name)
            let run = try await waiting.run.value
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            #expect(run.domain?.boot.evidence.contains("saved") == true, "\(run)")
            for decision in ["--keep", "--discard"] {
                let refused = try await guest.recover(decision)
                #expect(refused.exitStatus == 8, "\(refused)")
                #expect(refused.errorOutput.contains("virsh managedsave-remove \(shop.name)"), "\(refused)")
                #expect(guest.remains().count == 2)
            }
            try await PrivateLibvirt.shared.virsh("managedsave-remove", shop.name)
            let discarded = try await guest.recover("--discard")
            #expect(discarded.exitStatus == 0, "\(discarded)")
            #expect(guest.remains() == [])
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a guest that says nothing stays on its overlay, until somebody keeps the repair`() async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence)
            let xml = try await shop.xml()
            let run = try await guest.afterBoot("--boot-timeout", "3")
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            #expect(run.domain?.committed == false)
            for word in ["recover --keep \(shop.name)", "recover --discard \(shop.name)"] {
                #expect(run.domain?.boot.evidence.contains(word) == true, "\(run)")
            }
            try await expectUndecided(guest)

            let kept = try await guest.recover("--keep")
            #expect(kept.exitStatus == 0, "\(kept)")
            try #expect(await shop.state() == "running")
            try #expect(await shop.xml() == xml)
            #expect(guest.remains() == [])
            try await PrivateLibvirt.shared.virsh("destroy", shop.name)
            try await guest.expectRepaired()
        }
    }

    @Test func `nothing is merged into a disk that somebody took for untouched, as was said`() async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence, .raw)
            let run = try await guest.afterBoot("--boot-timeout", "2")
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            let loop = try await Tool.output(of: "losetup", ["--find", "--show", guest.image])
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let used = try await guest.recover("--keep")
            #expect(used.exitStatus == 8, "\(used)")
            #expect(used.errorOutput.contains("\(loop) lies over it"), "\(used)")
            try await Tool.output(of: "losetup", ["--detach", loop])
            try FileHandle.update(guest.image) { try $0.write($0.bytes(at: 0, count: 512), at: 0) }
            let written = try await guest.recover("--keep")
            #expect(written.exitStatus == 8, "\(written)")
            for words in ["somebody wrote to \(guest.image)", "recover --discard \(shop.name)"] {
                #expect(written.errorOutput.contains(words), "\(written)")
            }
            try #expect(await shop.state() == "running")
            try await PrivateLibvirt.shared.virsh("destroy", shop.name)
            let discarded = try await guest.recover("--discard")
            #expect(discarded.exitStatus == 0, "\(discarded)")
            #expect(guest.remains() == [])
            try #expect(await guest.isUntouched())
        }
    }

    @Test func `a repair on trial is thrown away when its guest is off`() async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence)
            let before = try await shop.snapshot()
            let run = try await guest.afterBoot("--boot-timeout", "2")
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            let early = try await guest.recover("--discard")
            #expect(early.exitStatus == 8, "\(early)")
            #expect(early.errorOutput.contains("shut it down first"), "\(early)")
            #expect(guest.remains().count == 2)
            try await PrivateLibvirt.shared.virsh("destroy", shop.name)
            let discarded = try await guest.recover("--discard")
            #expect(discarded.exitStatus == 0, "\(discarded)")
            #expect(guest.remains() == [])
            try #expect(await shop.state() == "shut off")
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test(arguments: ["--keep", "--discard"])
    func `a run that is killed while it waits leaves the decision`(_ decision: String) async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence)
            let before = try await shop.snapshot()
            let waiting = try await Waiting.start(["--commit", "after-boot"], on: shop)
            kill(waiting.pid, SIGKILL)
            _ = try await waiting.run.value
            try await expectUndecided(guest)
            try await PrivateLibvirt.shared.virsh("destroy", shop.name)
            let recovery = try await guest.recover(decision)
            #expect(recovery.exitStatus == 0, "\(recovery)")
            #expect(guest.remains() == [])
            try #expect(await shop.state() == "shut off")
            try #expect(await shop.xml() == before["xml"])
            if decision == "--keep" {
                try await guest.expectRepaired()
            } else {
                try #expect(await shop.snapshot() == before)
            }
        }
    }

    @Test func `a run that is interrupted while it waits says that it did not wait to the end`() async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: TalkingGuest.silence)
            let waiting = try await Waiting.start(["--commit", "after-boot"], on: shop)
            kill(waiting.pid, SIGINT)
            let run = try await waiting.run.value
            #expect(run.exitStatus & 32 != 0, "\(run)")
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            #expect(run.domain?.boot.evidence.contains("cancelled before there was proof") == true, "\(run)")
            #expect(run.domain?.boot.evidence.contains("recover --keep \(shop.name)") == true, "\(run)")
            try await expectUndecided(guest)
            let kept = try await guest.recover("--keep")
            #expect(kept.exitStatus == 0, "\(kept)")
            #expect(guest.remains() == [])
        }
    }

    /// Expects the guest to run on its overlay, and nobody but the user to decide about it.
    private func expectUndecided(_ guest: TalkingGuest) async throws {
        let shop = guest.shop
        func expectOpen() async throws {
            try #expect(await shop.state() == "running")
            #expect(guest.remains().count == 2)
            try #expect(await shop.xml().contains(".virt-fsck-"))
        }
        try await expectOpen()
        let undecided = try await guest.recover()
        #expect(undecided.exitStatus == 8, "\(undecided)")
        let next = try await VirtFsck.run(["--quiet", shop.name])
        #expect(next.exitStatus == 8, "\(next)")
        for run in [undecided, next] {
            #expect(run.output == "")
            #expect(run.errorOutput.contains("recover --keep \(shop.name)"), "\(run)")
            #expect(run.errorOutput.contains("recover --discard \(shop.name)"), "\(run)")
        }
        try await expectOpen()
        try #expect(await guest.isUntouched())
    }
}

/// Proof of boot in the normal way: the repair is merged before the start.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct BootProofTests {
    @Test(arguments: [
        (TalkingGuest.login, Int32(1), "booted", "test login:"),
        (TalkingGuest.panic, 3, "failed", "Kernel panic - not syncing: x"),
        ("\r\nhello\r\n", 1, "unknown", "no proof within 30 s; its console's last line: hello"),
        (TalkingGuest.silence, 1, "unknown", "no proof within 3 s; its console said nothing"),
    ])
    func `what a guest says is what is said of it`(
        _ words: String, _ status: Int32, _ outcome: String, _ evidence: String
    ) async throws {
        try await Workshop.with { shop in
            let guest = try await TalkingGuest(shop, saying: words)
            // Only who says something has to come to that.
            let limit = outcome != "unknown" ? "400" : words == TalkingGuest.silence ? "3" : "30"
            let run = try await shop.virtFsck("repair", "--boot-timeout", limit)
            #expect(run.exitStatus == status, "\(run)")
            #expect(run.domain?.outcome == "repaired")
            #expect(run.domain?.committed == true)
            #expect(run.domain?.boot.outcome == outcome, "\(run)")
            #expect(run.domain?.boot.evidence.contains(evidence) == true, "\(run)")
            #expect(run.domain?.boot.evidence.contains("qemu-guest-agent") == (outcome == "unknown"), "\(run)")
            try #expect(await shop.state() == "running")
            let said = words.trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(guest.consoleLogs().count == (said.isEmpty ? 0 : 1))
            #expect(guest.consoleLogs().allSatisfy { $0.contains(said) })
        }
    }

    /// Where the console shows a panic, that and libvirt's word of the crash are both true, and either may come first.
    @Test(
        arguments: [
            ("\r\nhello\r\n", ["the guest crashed (panicked); its console's last line: hello"]),
            (
                TalkingGuest.panic,
                [
                    "the guest crashed (panicked); its console's last words: kernel panic: Kernel panic - not syncing: x",
                    "kernel panic: Kernel panic - not syncing: x",
                ]
            ),
        ], ["preserve", "destroy"])
    func `a guest that crashes is said to, with the last words of its console`(
        _ said: (words: String, evidence: [String]), _ afterwards: String
    ) async throws {
        try await Workshop.with { shop in
            _ = try await TalkingGuest(
                shop, saying: said.words, then: .panics, devices: "<serial type='pty'/><panic model='isa'/>",
                extra: "<on_crash>\(afterwards)</on_crash>")
            let run = try await shop.virtFsck("repair", "--boot-timeout", "400")
            #expect(run.exitStatus == 3, "\(run)")
            #expect(run.domain?.boot.outcome == "failed", "\(run)")
            let evidence = run.domain?.boot.evidence ?? ""
            // Where QEMU stays, so do the words in its terminal.
            let isCut = afterwards == "destroy" && Self.isCut(evidence, of: said.words)
            #expect(said.evidence.contains(evidence) || isCut, "\(run)")
        }
    }

    /// Whether evidence of a crash has the beginning of the guest's words only: what nobody has read from a terminal when QEMU ends goes
    /// with it (the kernel's tty_ldisc_hangup).
    private static func isCut(_ evidence: String, of words: String) -> Bool {
        let parts = evidence.split(separator: "; its console's last line: ", maxSplits: 1)
        return parts.first == "the guest crashed (panicked)"
            && (parts.count == 1 || words.trimmingCharacters(in: .whitespacesAndNewlines).hasPrefix(parts[1]))
    }

    /// Where a guest could talk, and doesn't.
    @Test(arguments: [
        "<serial type='pty'/>",
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
    ])
    func `a guest that restarts again and again fails, though it says nothing`(_ devices: String) async throws {
        try await Workshop.with { shop in
            _ = try await TalkingGuest(shop, saying: TalkingGuest.silence, then: .resets, devices: devices)
            let run = try await shop.virtFsck("repair", "--boot-timeout", "400")
            #expect(run.exitStatus == 3, "\(run)")
            #expect(run.domain?.boot.outcome == "failed", "\(run)")
            #expect(run.domain?.boot.evidence == "boot loop: the guest restarts again and again", "\(run)")
        }
    }

    @Test func `a guest that may not restart is off`() async throws {
        try await Workshop.with { shop in
            _ = try await TalkingGuest(
                shop, saying: TalkingGuest.silence, then: .resets, extra: "<on_reboot>destroy</on_reboot>")
            let run = try await shop.virtFsck("repair", "--boot-timeout", "400")
            #expect(run.exitStatus == 3, "\(run)")
            #expect(run.domain?.boot.outcome == "failed", "\(run)")
            #expect(run.domain?.boot.evidence.hasPrefix("it is off again (") == true, "\(run)")
        }
    }

    @Test func `nobody waits who doesn't want to`() async throws {
        try await Workshop.with { shop in
            _ = try await TalkingGuest(shop, saying: TalkingGuest.silence)
            let run = try await shop.virtFsck("repair", "--no-wait")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.boot.outcome == "unknown")
            #expect(run.domain?.boot.evidence == "libvirt says running; whether the guest boots was not waited for")
            try #expect(await shop.state() == "running")
        }
    }

    @Test func `a guest without a console is told how to get one`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple(isDamaged: false)
            let run = try await shop.virtFsck("repair", "--boot-timeout", "1")
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            #expect(run.domain?.boot.evidence.contains("<serial type='pty'/>") == true, "\(run)")
        }
    }
}
