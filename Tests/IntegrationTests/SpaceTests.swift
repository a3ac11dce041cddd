import Foundation
import TestSupport
import Testing

/// A filesystem that is too small, or gets full, costs nobody a disk.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct SpaceTests {
    /// A domain with a raw disk of 64 MiB, without damage, on a filesystem of its own.
    private func withSmallDisk(
        _ mebibytes: Int, _ body: (_ shop: Workshop, _ folder: String) async throws -> Void
    ) async throws {
        try await Workshop.with { shop in
            let folder = "\(shop.disks)/small"
            try await SmallFilesystem.with(mebibytes: mebibytes, at: folder, in: shop.folder) {
                let disk = "\(folder)/disk.img"
                try await Filesystem.ext4.make(at: disk, size: 64 << 20)
                try await shop.define([Workshop.disk(disk, format: "raw")])
                try await body(shop, folder)
            }
        }
    }

    /// A folder for overlays that a reboot would not empty.
    private func withScratchFolder(_ shop: Workshop, _ body: (String) async throws -> Void) async throws {
        let folder = "/var/lib/virt-fsck-test-\(shop.name)"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
        try #expect(FileManager.default.contentsOfDirectory(atPath: folder) == [])
    }

    @Test func `where there is too little room for the overlay it says so, and another folder is the way out`()
        async throws
    {
        try await withSmallDisk(96) { shop, folder in
            try await SmallFilesystem.fill("\(folder)/filler", leaving: 10)
            try await expectRefusal(
                folder, "MiB free", "the overlay of vda may need 17.2 MiB", "--scratch-dir", in: shop)
            try await withScratchFolder(shop) { scratch in
                let run = try await shop.virtFsck("repair", "--no-start", "--scratch-dir", scratch)
                #expect(run.exitStatus == 0, "\(run)")
            }
        }
    }

    @Test(arguments: TestHost.engines)
    func `a filesystem that gets full under a checker is the host's trouble, and the disk stays`(
        _ engine: String
    ) async throws {
        try await withSmallDisk(96) { shop, folder in
            try await SmallFilesystem.fill("\(folder)/filler", leaving: 30)
            let before = try await shop.snapshot()
            let checker = HeldRun.repairing("60M")
            let arguments = arguments(shop.name, "--engine", engine)
            try await HeldRun.during(arguments, on: shop.name, in: shop.folder, checker: checker) { held in
                held.goOn()
                let run = try await held.run.value
                #expect(run.exitStatus == 8, "\(run)")
                #expect(run.domain?.outcome == "failed")
                #expect(run.domain?.message.contains("\(folder): its filesystem got full") == true, "\(run)")
                #expect(run.domain?.message.contains("--scratch-dir") == true)
            }
            // That an overlay came and went shows at its folder's time.
            var after = try await shop.snapshot()
            after["small"] = before["small"]
            #expect(after == before)
        }
    }

    @Test func `a merge that might not fit is not begun`() async throws {
        try await withSmallDisk(96) { shop, folder in
            try await SmallFilesystem.fill("\(folder)/filler", leaving: 10)
            let before = try await shop.snapshot()
            try await withScratchFolder(shop) { scratch in
                let checker = HeldRun.repairing("40M")
                let arguments = arguments(shop.name, "--scratch-dir", scratch)
                try await HeldRun.during(arguments, on: shop.name, in: shop.folder, checker: checker) { held in
                    held.goOn()
                    let run = try await held.run.value
                    #expect(run.exitStatus == 8, "\(run)")
                    #expect(run.domain?.committed == false)
                    #expect(run.domain?.message.contains("its merge may need 40.") == true, "\(run)")
                    #expect(run.domain?.message.contains("thrown away") == true)
                }
            }
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a merge that fits is made`() async throws {
        try await withSmallDisk(96) { shop, folder in
            try await SmallFilesystem.fill("\(folder)/filler", leaving: 20)
            try await withScratchFolder(shop) { scratch in
                let checker = HeldRun.repairing("16M")
                let arguments = arguments(shop.name, "--scratch-dir", scratch)
                try await HeldRun.during(arguments, on: shop.name, in: shop.folder, checker: checker) { held in
                    held.goOn()
                    let run = try await held.run.value
                    #expect(run.exitStatus == 1, "\(run)")
                }
            }
        }
    }

    @Test func `a scratch folder that is of no use is refused`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await withScratchFolder(shop) { scratch in
                let missing = "\(scratch)/missing"
                try await expectRefusal(
                    missing, "is missing", arguments: ["repair", "--scratch-dir", missing], in: shop)
                let file = "\(scratch)/file"
                try DiskSet.createSparse(file, size: 0)
                try await expectRefusal(file, "is no folder", arguments: ["repair", "--scratch-dir", file], in: shop)
                try FileManager.default.removeItem(atPath: file)
                let closed = "\(scratch)/closed"
                try FileManager.default.createDirectory(
                    atPath: closed, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                try await expectRefusal(
                    closed, "QEMU's user may not search", "(mode 0700)",
                    arguments: ["repair", "--scratch-dir", closed],
                    in: shop)
                try await Tool.output(of: "mount", ["-t", "tmpfs", "-o", "mode=0755,size=64M", "none", closed])
                try await expectRefusal(
                    closed, "in memory", "reboot", arguments: ["repair", "--scratch-dir", closed], in: shop)
                try await Tool.output(of: "umount", [closed])
                try FileManager.default.removeItem(atPath: closed)
            }
        }
    }
}
