import Foundation
import Glibc
import TestSupport
import Testing

/// Nothing is claimed that was not proven, and nothing is written that was not proven.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct ProofTests {
    /// A filesystem by an engine.
    struct Pair: CustomTestStringConvertible, Sendable {
        var filesystem: Filesystem
        var engine: String
        var testDescription: String { "\(filesystem) by \(engine)" }

        static let all = TestHost.engines.flatMap { engine in
            [Filesystem.ext4, .vfat, .xfs].map { Pair(filesystem: $0, engine: engine) }
        }
    }

    @Test(arguments: Pair.all)
    func `a check finds damage and changes nothing`(_ pair: Pair) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(pair.filesystem)
            if pair.filesystem.isExt {
                // e2fsck without -f believes it.
                try #expect(await Tool.run("e2fsck", ["-n", made.filesystem]).output.contains("clean"))
            }
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("check", "--engine", pair.engine)
            #expect(run.exitStatus == 4, "\(run)")
            #expect(run.domain?.outcome == "repairable")
            #expect(run.volume("vda")?.outcome == "repairable")
            #expect(run.domain?.committed == false)
            #expect(run.domain?.boot.outcome == "not-started")
            try #expect(await shop.snapshot() == before)
            try #expect(await shop.state() == "shut off")
        }
    }

    @Test(arguments: Pair.all)
    func `a clean disk stays bit for bit what it was`(_ pair: Pair) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple(pair.filesystem, pair.filesystem == .vfat ? .raw : .qcow2, isDamaged: false)
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair", "--no-start", "--engine", pair.engine)
            #expect(run.exitStatus == 0, "\(run)")
            #expect(run.domain?.outcome == "clean")
            #expect(run.volume("vda")?.outcome == "clean")
            #expect(run.domain?.committed == false)
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `without a commit the disk stays bit for bit what it was`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair", "--no-start", "--commit", "never")
            #expect(run.exitStatus == 4, "\(run)")
            #expect(run.domain?.outcome == "repairable")
            #expect(run.domain?.committed == false)
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a merge that a reader of the disk forbids is taken back`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            let before = try await shop.snapshot()
            let socket = "\(shop.folder)/reader.sock"
            let pidFile = "\(shop.folder)/reader.pid"
            // Returns when it listens.
            try await Tool.output(
                of: "qemu-nbd",
                [
                    "--fork", "--read-only", "--persistent", "--format", "qcow2", "--socket", socket, "--pid-file",
                    pidFile,
                    made.image,
                ])
            let reader = try #require(
                Int32(String(contentsOfFile: pidFile, encoding: .utf8).filter(\.isNumber)))
            defer { kill(reader, SIGKILL) }
            let run = try await shop.virtFsck("repair", "--no-start")
            #expect(run.exitStatus == 8, "\(run)")
            #expect(run.domain?.outcome == "failed")
            #expect(run.domain?.message.contains("the merge was refused") == true)
            try FileManager.default.removeItem(atPath: socket)
            try FileManager.default.removeItem(atPath: pidFile)
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a dry run says what would be done and attaches nothing`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair", "--dry-run")
            #expect(run.exitStatus == 0, "\(run)")
            #expect(run.domain?.outcome == "planned")
            #expect(run.domain?.disks.map(\.source) == [made.image])
            #expect(run.domain?.disks.flatMap(\.volumes).isEmpty == true)
            let text = try await VirtFsck.run(["--dry-run", shop.name])
            #expect(text.exitStatus == 0)
            #expect(text.output.contains(made.image))
            #expect(HostState.runs(onDomain: shop.name).isEmpty)
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test(arguments: TestHost.engines)
    func `a journal that is replayed is a repair`(_ engine: String) async throws {
        try await Workshop.with { shop in
            let set = try await DiskSet.make(.mbrPrimary, size: Filesystem.ext4.size, in: shop.folder)
            let file = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: file)
            let block = "\(shop.folder)/block"
            try Data(repeating: 0x55, count: 1024).write(to: URL(filePath: block))
            // A transaction that fills an unused block: replayed, and then nothing is wrong.
            try await Filesystem.debugfs(file, "jo", "jw -b 7000 \(block)", "jc")
            try #expect(FileHandle.read(file) { try $0.bytes(at: 1024 + 0x60, count: 1)[0] & 4 != 0 })
            try set.embed(file, in: set.volumes[0])
            let images = try await shop.defineImages(of: set, .qcow2)
            let run = try await shop.virtFsck("repair", "--no-start", "--engine", engine)
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.committed == true)
            #expect(run.volume("vda1")?.outcome == "repaired")
            #expect(run.volume("vda1")?.message.contains("journal") == true)
            let after = try await shop.content(of: images, .qcow2, like: set)
            let repaired = "\(shop.folder)/repaired"
            try after.extract(set.volumes[0], to: repaired)
            try #expect(FileHandle.read(repaired) { try $0.bytes(at: 7000 * 1024, count: 1) } == [0x55])
            try await Filesystem.ext4.repairBare(file, clockOf: repaired)
            try set.embed(file, in: set.volumes[0])
            try await expectSame(set, after, in: shop)
        }
    }

    /// Ways to be beyond repair.
    enum Hopeless: String, CaseIterable, Sendable {
        /// e2fsck leaves errors: 4.
        case errorsLeft
        /// e2fsck refuses: 8.
        case unknownFeature
        /// fsck.fat refuses.
        case fiveTables

        var outcome: String { self == .unknownFeature ? "unsupported" : "unrepaired" }

        func make(at path: String) async throws {
            switch self {
            case .errorsLeft: try await Filesystem.makeBeyondRepair(at: path)
            case .unknownFeature:
                try await Filesystem.ext4.make(at: path, options: ["-O", "^metadata_csum"])
                try FileHandle.update(path) { try $0.write([0x80], at: 1024 + 0x63) }
            case .fiveTables:
                try await Filesystem.vfat.make(at: path)
                try FileHandle.update(path) { try $0.write([5], at: 16) }
            }
        }
    }

    @Test(arguments: TestHost.engines, Hopeless.allCases)
    func `beside a volume that is beyond repair the other one is repaired`(
        _ engine: String, _ hopeless: Hopeless
    ) async throws {
        try await Workshop.with { shop in
            let mib = 1 << 20
            let set = try await DiskSet.makePartitioned(
                "label: gpt\n1: start=2048, size=16384\n2: start=18432, size=16384\n", size: 20 * mib,
                volumes: [
                    DiskSet.Volume(name: "vda1", offset: mib, size: 8 * mib),
                    DiskSet.Volume(name: "vda2", offset: 9 * mib, size: 8 * mib),
                ], in: shop.folder)
            let file = "\(shop.folder)/fs"
            try await hopeless.make(at: file)
            try set.embed(file, in: set.volumes[0])
            try await Filesystem.ext4.make(at: file)
            try await Filesystem.ext4.damage(file)
            try set.embed(file, in: set.volumes[1])
            let images = try await shop.defineImages(of: set, .qcow2)
            let xml = try await shop.xml()
            // What can't be checked here keeps no domain off.
            let start = hopeless.outcome == "unsupported" ? "never" : "repaired"
            let run = try await shop.virtFsck("repair", "--engine", engine, "--start", start)
            #expect(run.exitStatus == 5, "\(run)")
            #expect(run.domain?.outcome == (hopeless.outcome == "unsupported" ? "repaired" : "unrepaired"))
            #expect(run.domain?.committed == true)
            #expect(run.volume("vda1")?.outcome == hopeless.outcome)
            #expect(run.volume("vda1")?.message.isEmpty == false)
            #expect(run.volume("vda2")?.outcome == "repaired")
            #expect(run.domain?.boot.outcome == "not-started")
            let after = try await shop.content(of: images, .qcow2, like: set)
            // vda1's bytes are still the original's there, and have to be the same.
            try await expectSameRepair(.ext4, set.volumes[1], before: set, after: after, in: shop)
            try await expectSame(set, after, in: shop)
            try #expect(await shop.state() == "shut off")
            try #expect(await shop.xml() == xml)
        }
    }

    @Test(arguments: Hopeless.allCases)
    func `a disk that is beyond repair stays bit for bit what it was`(_ hopeless: Hopeless) async throws {
        try await Workshop.with { shop in
            let file = "\(shop.disks)/disk.img"
            try await hopeless.make(at: file)
            try await shop.define([Workshop.disk(file, format: "raw")])
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair")
            #expect(run.exitStatus == 4, "\(run)")
            #expect(run.domain?.outcome == "unrepaired")
            #expect(run.domain?.committed == false)
            #expect(run.volume("vda")?.outcome == hopeless.outcome)
            try #expect(await shop.snapshot() == before)
            let log = try #require(run.volume("vda")?.log)
            try #expect(String(contentsOfFile: log, encoding: .utf8).contains("fsck"))
        }
    }

    @Test(arguments: [Storage.raw, .qcow2])
    func `a repaired disk keeps its owner and mode`(_ storage: Storage) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, storage)
            try await Tool.output(of: "chown", ["1234:567", made.image])
            try await Tool.output(of: "chmod", ["0640", made.image])
            let run = try await shop.virtFsck("repair", "--no-start")
            #expect(run.exitStatus == 1, "\(run)")
            let status = try await Tool.output(of: "stat", ["-c", "%u:%g %a", made.image])
            #expect(status == "1234:567 640\n")
        }
    }

    @Test func `the report has the fields that the design names`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(label: "root")
            let run = try await shop.virtFsck("repair", "--no-start")
            // Decoding has found all fields that are always there.
            let report = try #require(run.report)
            #expect(report.schemaVersion == 1)
            #expect(report.exitStatus == run.exitStatus)
            #expect(!report.version.isEmpty)
            #expect(!report.host.isEmpty)
            #expect(report.connection.hasPrefix("qemu"))
            #expect(report.startedAt <= report.finishedAt)
            let domain = try #require(run.domain)
            #expect(domain.name == shop.name)
            #expect(domain.uuid?.count == 36)
            #expect(domain.state == "shutoff")
            #expect(domain.stateReason?.isEmpty == false)
            #expect(domain.seconds["attach"] != nil)
            #expect(domain.seconds["check"] != nil)
            #expect(domain.boot.outcome == "not-started")
            let disk = try #require(domain.disks.first)
            #expect(disk.target == "vda")
            #expect(disk.source == made.image)
            #expect(disk.format == "qcow2")
            #expect(disk.image.outcome == "clean")
            let volume = try #require(disk.volumes.first)
            #expect(volume.name == "vda")
            #expect(volume.type == "ext4")
            #expect(volume.label == "root")
            #expect(volume.uuid?.count == 36)
            #expect(volume.size == UInt64(Filesystem.ext4.size))
            #expect(volume.exitStatus == 0 || volume.exitStatus == 1)
            #expect(volume.log.map(FileManager.default.fileExists(atPath:)) == true)
        }
    }

    @Test func `a person sees at a glance what happened`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let check = try await VirtFsck.run(["check", "--quiet", shop.name])
            #expect(check.exitStatus == 4)
            #expect(check.errorOutput == "")
            #expect(check.output.contains("vda  ext4"))
            #expect(check.output.contains("repairable"))
            #expect(check.output.contains("virt-fsck repair \(shop.name)"))
            let repair = try await VirtFsck.run(["--no-start", shop.name])
            #expect(repair.exitStatus == 1)
            #expect(repair.output.hasPrefix("\(shop.name): repaired\n"))
            let again = try await VirtFsck.run(["--no-start", "--quiet", shop.name])
            #expect(again.exitStatus == 0)
            #expect(again.output.hasPrefix("\(shop.name): clean\n"))
        }
    }

    @Test func `one domain's trouble does not stop the others`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let run = try await VirtFsck.run(["check", "--json", "\(shop.name)-none", shop.name])
            #expect(run.exitStatus == 12, "\(run)")
            #expect(run.report?.domains.map(\.outcome) == ["failed", "repairable"])
        }
    }

    @Test(arguments: TestHost.engines)
    func `the program needs at most 60 MB`(_ engine: String) async throws {
        try await Workshop.with { shop in
            let set = try await DiskSet.makeRecipe(boot: 8 << 20, root: 64 << 20, swap: 4 << 20, in: shop.folder)
            for (name, kind) in [("vda1", Filesystem.ext3), ("VolGroup00/LogVol00", .ext4)] {
                let file = "\(shop.folder)/fs"
                let volume = try set.volume(name)
                try await kind.make(at: file, size: volume.size)
                try await kind.damage(file)
                try set.embed(file, in: volume)
            }
            try await shop.defineImages(of: set, .qcow2)
            let run = try await shop.virtFsck("repair", "--no-start", "--engine", engine)
            #expect(run.volume("VolGroup00/LogVol00")?.outcome == "repaired", "\(run)")
            #expect(run.peakMemory > 1_000_000)
            #expect(run.peakMemory <= 60_000_000)
        }
    }
}
