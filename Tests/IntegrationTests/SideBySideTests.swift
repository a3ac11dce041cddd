import Foundation
import Glibc
import TestSupport
import Testing

/// Volumes of one domain that are checked at once.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct SideBySideTests {
    @Test(arguments: TestHost.engines)
    func `two disks that are checked at once become what they become one after the other`(
        _ engine: String
    ) async throws {
        try await Workshop.with { shop in
            let set = try await twoGroups(in: shop)
            let images = try await shop.defineImages(of: set, .qcow2)
            var rows: [[String]] = []
            for jobs in ["1", "2"] {
                for (image, raw) in zip(images, set.paths) { try await Storage.qcow2.make(image, from: raw, over: nil) }
                let run = try await shop.virtFsck("repair", "--no-start", "--engine", engine, "--jobs", jobs)
                #expect(run.exitStatus == 1, "\(run)")
                let volumes = run.domain?.disks.flatMap(\.volumes) ?? []
                rows.append(volumes.map { "\($0.name) \($0.type) \($0.outcome) \($0.message) \($0.exitStatus ?? -1)" })
                // Their names become the same file name; each has a log of its own all the same.
                let logs = volumes.compactMap(\.log)
                #expect(Set(logs).count == 2, "\(logs)")
                for log in logs {
                    let text = try String(contentsOfFile: log, encoding: .utf8)
                    #expect(text.split(separator: "\n").filter { $0.hasPrefix("# e2fsck") }.count == 2, "\(text)")
                }
                let after = try await shop.content(of: images, .qcow2, like: set)
                for volume in set.volumes {
                    let before = try await copy(of: set, in: shop)
                    try await expectSameRepair(.ext4, volume, before: before, after: after, in: shop)
                }
            }
            #expect(rows.first == rows.last)
            #expect(rows.first?.map { $0.split(separator: " ").first } == ["a/b_c", "a_b/c"])
        }
    }

    @Test(arguments: TestHost.engines)
    func `the checkers of two disks run at once, and one signal stops both`(_ engine: String) async throws {
        try await Workshop.with { shop in
            _ = try await shop.defineImages(of: try await twoGroups(in: shop), .qcow2)
            let before = try await shop.snapshot()
            let run = try await HeldRun.during(
                arguments(shop.name, "--engine", engine, "--jobs", "2"), on: shop.name, in: shop.folder
            ) { held in
                // Neither goes on before it is told to.
                #expect(await eventually { ["a_b_c", "a_b_c-2"].allSatisfy { said("held", $0, in: shop) } })
                kill(try #require(process(in: shop)), SIGINT)
                return try await held.run.value
            }
            #expect(run.exitStatus == 32, "\(run)")
            #expect(run.domain?.message == "cancelled; its disks are as they were")
            let orders = ["a/b_c (ext4), a_b/c (ext4)", "a_b/c (ext4), a/b_c (ext4)"]
            #expect(orders.contains { run.errorOutput.contains(": checking \($0)\n") }, "\(run)")
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a second signal kills every checker that doesn't care`() async throws {
        try await Workshop.with { shop in
            _ = try await shop.defineImages(of: try await twoGroups(in: shop), .qcow2)
            let before = try await shop.snapshot()
            let deaf = """
                import signal
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, lambda number, frame: print("asked by TERM", flush=True))
                hold()
                """
            try await HeldRun.during(
                arguments(shop.name, "--jobs", "2"), on: shop.name, in: shop.folder, checker: deaf
            ) { held in
                #expect(await eventually { ["a_b_c", "a_b_c-2"].allSatisfy { said("held", $0, in: shop) } })
                let pid = try #require(process(in: shop))
                kill(pid, SIGINT)
                kill(pid, SIGTERM)
                let run = try await held.run.value
                #expect(run.exitStatus == 32, "\(run)")
            }
            // In order TERM comes two seconds before KILL.
            #expect(!["a_b_c", "a_b_c-2"].contains { said("asked by TERM", $0, in: shop) })
            try #expect(await shop.snapshot() == before)
        }
    }

    // MARK: Helpers

    /// Two disks, each with a volume group and a damaged filesystem in it: `a/b_c` and `a_b/c`.
    private func twoGroups(in shop: Workshop) async throws -> DiskSet {
        let size = ((Filesystem.ext4.size + (4 << 20) - 1) >> 22) << 22
        let paths = ["\(shop.folder)/disk0.raw", "\(shop.folder)/disk1.raw"]
        for path in paths {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
            try FileHandle.update(path) { try $0.truncate(atOffset: UInt64(size + (8 << 20))) }
        }
        let set = try await DiskSet.lvm(
            paths, paths.map { Loops.Region(file: $0, offset: 0, size: size + (8 << 20)) },
            """
            lvm_ vgcreate a ${loops[0]}
            create -L \(size)b -n b_c a
            lvm_ vgcreate a_b ${loops[1]}
            create -L \(size)b -n c a_b
            """)
        for volume in set.volumes {
            let filesystem = "\(shop.folder)/\(volume.name.replacing("/", with: "-"))"
            try await Filesystem.ext4.make(at: filesystem)
            try await Filesystem.ext4.damage(filesystem)
            try set.embed(filesystem, in: volume)
        }
        return set
    }

    private func copy(of set: DiskSet, in shop: Workshop) async throws -> DiskSet {
        var copy = set
        copy.paths = set.paths.map { $0 + ".bare" }
        for (path, other) in zip(set.paths, copy.paths) {
            try await Tool.output(of: "cp", ["--sparse=always", path, other])
        }
        return copy
    }

    /// Whether a volume's checker has said these words.
    private func said(_ words: String, _ log: String, in shop: Workshop) -> Bool {
        HostState.logs(ofDomain: shop.name).contains { run in
            (try? String(contentsOfFile: "/var/log/virt-fsck/\(run)/\(log).log", encoding: .utf8))?
                .contains("\(words)\n") == true
        }
    }

    /// The virt-fsck that works on this test's domain.
    private func process(in shop: Workshop) -> pid_t? {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.compactMap { pid_t($0) }.first { pid in
            let command = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            let words = String(decoding: command, as: UTF8.self).split(separator: "\0")
            return words.first?.hasSuffix("/virt-fsck") == true && words.contains(Substring(shop.name))
        }
    }
}
