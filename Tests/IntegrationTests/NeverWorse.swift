import Foundation
import TestSupport
import Testing

/// A domain with one raw disk that is a damaged ext4, and what must hold of it whatever happens during a repair.
struct NeverWorse: Sendable {
    let shop: Workshop
    let image: String

    private var original: String { "\(shop.folder)/original" }

    /// Makes the disk, and defines the domain.
    init(_ shop: Workshop, image: String) async throws {
        self.shop = shop
        self.image = image
        try await Filesystem.ext4.make(at: original)
        try await Filesystem.ext4.damage(original)
        try await reset()
        try await shop.define([Workshop.disk(image, format: "raw")])
    }

    /// Damages the disk again. All of it is allocated: what is merged needs no space.
    func reset(_ other: String? = nil) async throws {
        try await Tool.output(of: "cp", ["--sparse=never", original, other ?? image])
    }

    /// Whether a disk is the damaged original.
    func isUntouched(_ disk: String? = nil) async throws -> Bool {
        try await Tool.run("cmp", ["--quiet", original, disk ?? image]).exitStatus == 0
    }

    /// Whether a disk is the original as the bare checker repairs it.
    func isRepaired(_ disk: String? = nil) async throws -> Bool {
        let bare = "\(shop.folder)/bare"
        try await Tool.output(of: "cp", [original, bare])
        try await Filesystem.ext4.repairBare(bare, clockOf: disk ?? image)
        return try await Tool.run("cmp", ["--quiet", bare, disk ?? image]).exitStatus == 0
    }

    /// The overlays that the domain's XML names.
    func overlays() async throws -> [String] {
        try await shop.xml().split(separator: "'").map(String.init).filter { $0.contains(".virt-fsck-") }
    }

    /// The journals of interrupted runs on the domain.
    func journals() -> [String] {
        let folder = "/var/lib/virt-fsck/journal"
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).map { "\(folder)/\($0)" }.filter {
            (try? String(contentsOfFile: $0, encoding: .utf8))?.contains(shop.name) ?? false
        }
    }

    /// Expects of a run that met an obstacle: the disk is what it was or repaired, or the domain names a whole overlay and the
    /// journal is kept.
    func expectWhole(after run: VirtFsck.Run, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let overlays = try await overlays()
        if overlays.isEmpty {
            #expect(journals().isEmpty, "\(run)", sourceLocation: sourceLocation)
            if run.domain?.committed == true {
                try #expect(await isRepaired(), "\(run)", sourceLocation: sourceLocation)
            } else {
                try #expect(await isUntouched(), "\(run)", sourceLocation: sourceLocation)
            }
            return
        }
        #expect(run.exitStatus & 8 != 0, "\(run)", sourceLocation: sourceLocation)
        #expect(run.domain?.message.contains("virt-fsck recover") == true, "\(run)", sourceLocation: sourceLocation)
        #expect(journals().count == 1, "\(run)", sourceLocation: sourceLocation)
        let guestView = "\(shop.folder)/guest"
        try await Tool.output(
            of: "qemu-img", ["convert", "-U", "-f", "qcow2", "-O", "raw", overlays[0], guestView])
        try #expect(await isRepaired(guestView), "\(run)", sourceLocation: sourceLocation)
    }

    /// Expects that, without the obstacle, recovering and one more run bring the repair to its end.
    func expectGoodEnd(_ arguments: [String] = [], sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let recovery = try await VirtFsck.run(["recover", shop.name])
        #expect(recovery.exitStatus == 0, "\(recovery)", sourceLocation: sourceLocation)
        #expect(journals().isEmpty, "\(recovery)", sourceLocation: sourceLocation)
        let run = try await VirtFsck.run(["repair", "--json", "--no-start"] + arguments + [shop.name])
        #expect(run.exitStatus <= 1, "\(run)", sourceLocation: sourceLocation)
        try #expect(await overlays().isEmpty, "\(run)", sourceLocation: sourceLocation)
        #expect(journals().isEmpty, "\(run)", sourceLocation: sourceLocation)
        try #expect(await isRepaired(), "\(run)", sourceLocation: sourceLocation)
    }
}
