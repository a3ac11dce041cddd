import Foundation
import TestSupport
import Testing

/// A guest with a real boot path through the whole circle: dead while libvirt says running, found, repaired, and up again.
@Suite(
    .enabled(if: DemoGuest.obstacle == nil, "\(DemoGuest.obstacle ?? "")"), .serialized, .timeLimit(.minutes(40)))
struct RealGuestTests {
    @Test func `a guest that is dead while libvirt says running is found, repaired, and boots`() async throws {
        try await Workshop.with { shop in
            let patient = try await RealPatient(.broken, shop)
            try await patient.expectDeadAndFound()
            let run = try await patient.repairAll()
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.outcome == "repaired", "\(run)")
            #expect(run.volume("VolGroup00/LogVol00")?.outcome == "repaired", "\(run)")
            #expect(run.domain?.committed == true)
            #expect(run.domain?.boot.outcome == "booted", "\(run)")
            #expect(run.domain?.boot.evidence.contains("demo login:") == true, "\(run)")
            try await patient.expectWell()
        }
    }

    @Test func `with after-boot its repair is merged while it runs`() async throws {
        try await Workshop.with { shop in
            let patient = try await RealPatient(.broken, shop)
            try await patient.expectDeadAndFound()
            let xml = try await shop.xml()
            let run = try await patient.repairAll("--commit", "after-boot")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.outcome == "repaired", "\(run)")
            #expect(run.domain?.committed == true)
            #expect(run.domain?.boot.outcome == "booted", "\(run)")
            #expect(run.domain?.boot.evidence.contains("demo login:") == true, "\(run)")
            try #expect(await shop.xml() == xml)
            try #expect(await PrivateLibvirt.shared.virsh("domblklist", shop.name).contains(" \(patient.disk)\n"))
            try await patient.expectWell()
        }
    }

    @Test func `with after-boot a guest that does not boot gets its disk back, bit for bit`() async throws {
        try await Workshop.with { shop in
            let patient = try await RealPatient(.hopeless, shop)
            try await patient.expectDeadAndFound()
            // The dead guest has replayed its journals; nothing may change from here on.
            let xml = try await shop.xml()
            let before = try await patient.contentWhileDead()
            let run = try await patient.repairAll("--commit", "after-boot")
            #expect(run.exitStatus == 6, "\(run)")
            #expect(run.domain?.outcome == "repairable", "\(run)")
            #expect(run.volume("VolGroup00/LogVol00")?.outcome == "repairable", "\(run)")
            #expect(run.domain?.committed == false)
            #expect(run.domain?.boot.outcome == "failed", "\(run)")
            #expect(run.domain?.boot.evidence.contains("Kernel panic - not syncing") == true, "\(run)")
            #expect(run.domain?.message.contains("its disks are as they were") == true, "\(run)")
            try #expect(await shop.state() == "shut off")
            try #expect(await shop.xml() == xml)
            try #expect(await patient.sum() == before)
            try #expect(FileManager.default.contentsOfDirectory(atPath: shop.disks) == ["guest.qcow2"])
        }
    }
}

/// A domain with the demo's guest.
private struct RealPatient: Sendable {
    let shop: Workshop
    let guest: DemoGuest
    let disk: String
    private let log: String

    /// For a boot without KVM, on a machine that does many other things.
    static let patience = Duration.seconds(400)

    init(_ condition: DemoGuest.Condition, _ shop: Workshop) async throws {
        self.shop = shop
        guest = try await DemoGuest.made()
        disk = "\(shop.disks)/guest.qcow2"
        log = "\(shop.folder)/console.log"
        try await guest.disk(condition, at: disk)
        let file = "\(shop.folder)/domain.xml"
        try await guest.xml(name: shop.name, disk: disk, consoleLog: log)
            .write(toFile: file, atomically: true, encoding: .utf8)
        try await PrivateLibvirt.shared.virsh("define", file)
    }

    /// Starts it, and expects what the issue of such guests is: libvirt says running, and only the console knows better.
    func expectDeadAndFound() async throws {
        try await PrivateLibvirt.shared.virsh("start", shop.name)
        let isDead = await eventually(within: Self.patience) { said("requires a manual fsck") }
        try #require(isDead, "\(console.suffix(2000))")
        try #expect(await shop.state() == "running")
        let list = try await VirtFsck.run(["list", "--json"])
        let listing = try JSONDecoder().decode(Listing.self, from: Data(list.output.utf8))
        let row = try #require(listing.domains.first { $0.name == shop.name }, "\(list)")
        #expect(row.failed)
        #expect(row.state == "running")
        #expect(row.evidence.contains("UNEXPECTED INCONSISTENCY"), "\(row.evidence)")
    }

    func repairAll(_ more: String...) async throws -> VirtFsck.Run {
        let limit = "\(Self.patience.components.seconds)"
        return try await VirtFsck.run(
            ["--all", "--include", shop.name, "--force-off", "--yes", "--json", "--boot-timeout", limit] + more)
    }

    /// Expects it to run with all its files, to shut down by the power button, and to leave nothing that e2fsck finds.
    func expectWell() async throws {
        try #expect(await shop.state() == "running")
        #expect(said("files are as they were made"), "\(console.suffix(2000))")
        var asked = ContinuousClock.now - .seconds(60)
        let isOff = try await eventually(within: Self.patience) {
            // A guest that has only just come up may miss it.
            if ContinuousClock.now - asked > .seconds(5) {
                asked = .now
                _ = try? await PrivateLibvirt.shared.virsh("shutdown", shop.name)
            }
            return try await shop.state() == "shut off"
        }
        try #require(isOff, "\(console.suffix(2000))")
        try #expect(FileManager.default.contentsOfDirectory(atPath: shop.disks) == ["guest.qcow2"])
        let damage = try await guest.damage(on: disk, in: shop.folder)
        #expect(damage == nil)
    }

    /// The disk's checksum when the dead guest has written its last: QEMU flushes where it is suspended.
    func contentWhileDead() async throws -> String {
        try await PrivateLibvirt.shared.virsh("suspend", shop.name)
        let sum = try await sum()
        try await PrivateLibvirt.shared.virsh("resume", shop.name)
        return sum
    }

    func sum() async throws -> String { try await Tool.output(of: "sha256sum", [disk]) }

    private var console: String {
        String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
    }

    private func said(_ words: String) -> Bool { console.contains(words) }

    private struct Listing: Decodable {
        struct Domain: Decodable {
            var name: String
            var state: String
            var failed: Bool
            var evidence: String
        }

        var domains: [Domain]
    }
}
