import Foundation
import TestSupport
import Testing

/// The disk below fails, or what virt-fsck stands on dies. Each time: words that say what and where, the disk as it was or
/// the domain on a whole overlay, nothing else left; and a good end when the errors are over.
@Suite(.enabled(if: TestHost.isUsable && Tool.path(of: "python3") != nil), .timeLimit(.minutes(40)))
struct IOErrorTests {
    /// A byte of the ext4 in its image, and what reads it.
    private static let superblock = 1024
    private static let inodeTable = 98 << 10

    @Test(arguments: [1, 3, 7, 12, 40])
    func `read errors that do not come back destroy nothing`(_ times: Int) async throws {
        try await Workshop.with { shop in
            try await FaultyFilesystem.with(shop) { faulty in
                let patient = try await NeverWorse(shop, image: "\(faulty.folder)/disk.img")
                let sector = try await faulty.sector(of: patient.image, at: Self.inodeTable)
                try await faulty.forget(patient.image)
                try await faulty.fail([.read], sector: sector, times: times)
                let run = try await shop.virtFsck("repair", "--no-start")
                try await faulty.heal()
                try await patient.expectWhole(after: run)
                try await patient.expectGoodEnd()
            }
        }
    }

    @Test(arguments: [superblock, inodeTable])
    func `a sector that can't be read is said, and nothing is repaired over it`(_ place: Int) async throws {
        try await Workshop.with { shop in
            try await FaultyFilesystem.with(shop) { faulty in
                let patient = try await NeverWorse(shop, image: "\(faulty.folder)/disk.img")
                let sector = try await faulty.sector(of: patient.image, at: place)
                try await faulty.fail([.read], sector: sector)
                // Afterwards: another test's virt-fsck reads the headers of every domain's images, and so caches them.
                try await faulty.forget(patient.image)
                let run = try await shop.virtFsck("repair", "--no-start")
                try await faulty.heal()
                #expect(run.exitStatus == 4 || run.exitStatus == 8, "\(run)")
                #expect(run.domain?.committed == false)
                let words = (run.domain?.message ?? "") + (run.volume("vda")?.message ?? "")
                #expect(words.contains("Input/output error") || words.contains("disk itself fails"), "\(run)")
                try await patient.expectWhole(after: run)
                try await patient.expectGoodEnd()
            }
        }
    }

    @Test func `an image whose header can't be read is refused by its name`() async throws {
        try await Workshop.with { shop in
            try await FaultyFilesystem.with(shop) { faulty in
                let image = "\(faulty.folder)/disk.qcow2"
                try await Filesystem.ext4.make(at: "\(shop.folder)/fs")
                try await Storage.qcow2.make(image, from: "\(shop.folder)/fs", over: nil)
                try await shop.define([Workshop.disk(image, format: "qcow2")])
                let sector = try await faulty.sector(of: image, at: 0)
                try await faulty.fail([.read], sector: sector)
                // Afterwards: another test's virt-fsck reads the headers of every domain's images, and so caches them.
                try await faulty.forget(image)
                let run = try await VirtFsck.run(["repair", "--quiet", shop.name])
                try await faulty.heal()
                expectOneLine(run, ["vda", image, "Input/output error"])
            }
        }
    }

    @Test(arguments: [[FaultyFilesystem.Request.write], [.flush]])
    func `a merge that fails leaves the domain on its overlay, until it is recovered`(
        _ requests: [FaultyFilesystem.Request]
    ) async throws {
        try await Workshop.with { shop in
            let scratch = "/var/lib/virt-fsck/overlays/\(shop.name)-scratch"
            try FileManager.default.createDirectory(
                atPath: scratch, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
            defer { try? FileManager.default.removeItem(atPath: scratch) }
            try await FaultyFilesystem.with(shop) { faulty in
                let patient = try await NeverWorse(shop, image: "\(faulty.folder)/disk.img")
                try await faulty.forget(patient.image)
                // The first thing that is written there is the merge.
                try await faulty.fail(requests, times: requests == [.flush] ? 20 : nil)
                let run = try await shop.virtFsck("repair", "--no-start", "--scratch-dir", scratch)
                #expect(run.exitStatus == 8, "\(run)")
                try await patient.expectWhole(after: run)
                // While the errors go on it can't be recovered, and nothing gets worse.
                _ = try await VirtFsck.run(["recover", shop.name])
                try await patient.expectWhole(after: run)
                try await faulty.heal()
                try await patient.expectGoodEnd(["--scratch-dir", scratch])
                #expect(try FileManager.default.contentsOfDirectory(atPath: scratch).isEmpty)
            }
        }
    }

    @Test(arguments: [[FaultyFilesystem.Request.write], [.flush]], [false, true])
    func `a place for overlays that fails costs the repair, and nothing else`(
        _ requests: [FaultyFilesystem.Request], _ isLate: Bool
    ) async throws {
        try await Workshop.with { shop in
            try await FaultyFilesystem.with(shop) { faulty in
                let patient = try await NeverWorse(shop, image: "\(shop.disks)/disk.img")
                let times = requests == [.flush] ? 20 : nil
                let run: VirtFsck.Run
                if isLate {
                    // When the overlay is there, and before the checker writes to it.
                    let arguments = arguments(shop.name, "--scratch-dir", faulty.folder)
                    run = try await HeldRun.during(arguments, on: shop.name, in: shop.folder) { held in
                        try await faulty.fail(requests, times: times)
                        held.goOn()
                        return try await held.run.value
                    }
                } else {
                    try await faulty.fail(requests, times: times)
                    run = try await shop.virtFsck("repair", "--no-start", "--scratch-dir", faulty.folder)
                    #expect(run.exitStatus == 8 || run.exitStatus == 4, "\(run)")
                }
                try await faulty.heal()
                // What could not be removed from a failing disk is removed when that works again.
                try await patient.expectWhole(after: run)
                try await patient.expectGoodEnd(["--scratch-dir", faulty.folder])
                let left = try FileManager.default.contentsOfDirectory(atPath: faulty.folder)
                #expect(left == ["lost+found"], "\(run)")
            }
        }
    }

    @Test(arguments: ["opening", "attaching", "looking for volumes", "checking", "merging"])
    func `a storage daemon that is killed costs the repair, and nothing else`(_ stage: String) async throws {
        try await Workshop.with { shop in
            let patient = try await NeverWorse(shop, image: "\(shop.disks)/disk.img")
            let run = try await VirtFsck.run(
                [
                    "timeout", "-k", "5", "120", "bash", "-c", Self.killAtStage, "bash", stage,
                    "\(shop.folder)/progress",
                ], ["repair", "--json", "--no-start", "--connect", PrivateLibvirt.shared.uri, shop.name])
            #expect(run.report != nil, "\(run)")
            try await patient.expectWhole(after: run)
            try await patient.expectGoodEnd()
        }
    }

    /// Runs a program, and kills its storage daemon when it says that it has come to a stage.
    private static let killAtStage = """
        stage=$1 progress=$2; shift 2
        "$@" 2>"$progress" & pid=$!
        until grep -q ": $stage" "$progress"; do kill -0 $pid 2>/dev/null || break; done
        for child in $(cat /proc/$pid/task/*/children 2>/dev/null); do
          [ "$(cat /proc/$child/comm)" != qemu-storage-da ] || kill -KILL $child
        done
        wait $pid; status=$?
        cat "$progress" >&2
        exit $status
        """
}
