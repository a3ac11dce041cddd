import Foundation
import TestSupport
import Testing

/// A guest that lacks more than its filesystem's order: after the repair it is said what.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct DiagnosisTests {
    @Test(arguments: TestHost.engines)
    func `a repair that leads to no proven boot says what else the disk lacks`(_ engine: String) async throws {
        try await Workshop.with { shop in
            try await defineGuest(in: shop)
            let run = try await shop.virtFsck("repair", "--no-wait", "--engine", engine)
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.boot.outcome == "unknown")
            #expect(run.domain?.diagnosis == Self.findings)
            try #expect(await shop.state() == "running")
        }
    }

    @Test func `the findings are shown to a person, and a domain that stays off gets none`() async throws {
        try await Workshop.with { shop in
            try await defineGuest(in: shop)
            let check = try await shop.virtFsck("check")
            #expect(check.exitStatus == 4, "\(check)")
            #expect(check.domain?.diagnosis == nil)
            let run = try await VirtFsck.run(["repair", "--no-wait", shop.name])
            for finding in Self.findings { #expect(run.output.contains("  look: \(finding)\n"), "\(run)") }
        }
    }

    private static let findings = [
        "vda: no boot record holds code: a BIOS finds nothing to boot there (no boot loader)",
        "vda: /etc/fstab names UUID=11111111-2222-3333-4444-555555555555 for /home, which no volume of this domain has",
        "vda: /sbin/init is missing",
        "vda: /boot has no kernel (vmlinuz-…)",
        "vda: the filesystem is full: 300.0 KiB free of 16.0 MiB",
        "vda: lost+found has 1 entry: what lost its name, perhaps what is missing elsewhere",
    ]

    /// A full root without init, whose fstab names what there isn't, and whose kernel the repair moves to lost+found.
    private func defineGuest(in shop: Workshop) async throws {
        let tree = "\(shop.folder)/tree"
        for folder in ["etc", "boot/grub", "sbin"] {
            try FileManager.default.createDirectory(atPath: "\(tree)/\(folder)", withIntermediateDirectories: true)
        }
        let uuid = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
        try """
        # <file system> <mount point> <type> <options> <dump> <pass>
        UUID=\(uuid)\t/\text4\terrors=remount-ro 0 1
        UUID=11111111-2222-3333-4444-555555555555 /home ext4 defaults 0 2
        LABEL=none-of-these /media ext4 nofail 0 2
        tmpfs /tmp tmpfs defaults 0 0

        """.write(toFile: "\(tree)/etc/fstab", atomically: false, encoding: .utf8)
        try "kernel".write(toFile: "\(tree)/boot/vmlinuz-6.1", atomically: false, encoding: .utf8)
        let image = "\(shop.disks)/disk.img"
        try await make(image, from: tree, uuid: uuid)
        let free = try await freeBlocks(of: image)
        // As much as leaves 300 of them, with the block of its extents that it may need.
        try Data(repeating: 1, count: (free - 300) << 10).write(to: URL(filePath: "\(tree)/ballast"))
        try await make(image, from: tree, uuid: uuid)
        try #expect(await freeBlocks(of: image) == 300)
        try await Filesystem.debugfs(image, "unlink /boot/vmlinuz-6.1")
        try await shop.define([Workshop.disk(image, format: "raw")])
    }

    private func make(_ image: String, from tree: String, uuid: String) async throws {
        try? FileManager.default.removeItem(atPath: image)
        try await Tool.output(
            of: "mke2fs", ["-q", "-F", "-t", "ext4", "-b", "1024", "-U", uuid, "-d", tree, image, "16384k"])
    }

    private func freeBlocks(of image: String) async throws -> Int {
        let words = try await Tool.run("dumpe2fs", ["-h", image]).output.split(separator: "\n")
            .first { $0.hasPrefix("Free blocks:") }?.split(separator: " ").last
        return try #require(words.flatMap { Int($0) })
    }
}
