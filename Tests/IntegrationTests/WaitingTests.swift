import Foundation
import TestSupport
import Testing

/// Guests that take their time to boot.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct WaitingTests {
    @Test(arguments: ["verified", "after-boot"])
    func `while a guest boots the next domain has its turn`(_ commit: String) async throws {
        try await Workshop.with { shop in
            let (silent, talking) = (shop.name + "-1", shop.name + "-2")
            try await guest("-1", saying: TalkingGuest.silence, in: shop)
            try await guest("-2", saying: TalkingGuest.login, in: shop)
            let running = Task {
                try await VirtFsck.run([
                    "repair", "--json", "--jobs", "1", "--boot-timeout", "1000", "--commit", commit, silent, talking,
                ])
            }
            // With the only turn taken by the first one, it would not be started for 1000 s.
            let isStarted = try await eventually(within: .seconds(600)) { try await state(talking) == "running" }
            try #expect(await state(silent) == "running")
            try await PrivateLibvirt.shared.virsh("destroy", silent)
            let run = try await running.value
            #expect(isStarted, "\(run)")
            let rows = run.report?.domains ?? []
            #expect(rows.map(\.name) == [silent, talking])
            #expect(rows.map(\.boot.outcome) == ["failed", "booted"], "\(run)")
            #expect(rows.map(\.committed) == [commit == "verified", true], "\(run)")
        }
    }

    private func guest(_ suffix: String, saying words: String, in shop: Workshop) async throws {
        let folder = "\(shop.folder)/set\(suffix)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let set = try await DiskSet.make(.mbrPrimary, size: Filesystem.ext4.size, in: folder)
        let filesystem = "\(folder)/fs"
        try await Filesystem.ext4.make(at: filesystem)
        try await Filesystem.ext4.damage(filesystem)
        try set.embed(filesystem, in: set.volume("vda1"))
        try BootSector.install(saying: words, on: set.paths[0])
        let image = "\(shop.disks)/disk\(suffix).qcow2"
        try await Storage.qcow2.make(image, from: set.paths[0], over: nil)
        try await shop.define([Workshop.disk(image, format: "qcow2") + "<serial type='pty'/>"], suffix: suffix)
    }

    private func state(_ domain: String) async throws -> String {
        try await PrivateLibvirt.shared.virsh("domstate", domain).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
