import Foundation
import Glibc
import TestSupport
import Testing

/// `--all`: many domains at once, of which none stops another.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct FleetTests {
    @Test func `clones of one template are repaired at once, and the template stays what it was`() async throws {
        try await Workshop.with { shop in
            let set = try await DiskSet.make(.lvm, size: Filesystem.ext4.size, in: shop.folder)
            let filesystem = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: filesystem)
            try await Filesystem.ext4.damage(filesystem)
            try set.embed(filesystem, in: set.volume("guest/root"))
            let template = "\(shop.disks)/template.img"
            try await Storage.raw.make(template, from: set.paths[0], over: nil)
            let clones = try await clones(8, of: template, in: shop)
            let before = try await Tool.output(of: "sha256sum", [template])
            let run = try await all("--jobs", "4", "--no-start", in: shop)
            #expect(run.exitStatus == 1, "\(run)")
            let rows = run.report?.domains ?? []
            #expect(rows.map(\.name) == clones.map(\.name))
            #expect(rows.allSatisfy { $0.outcome == "repaired" && $0.committed }, "\(run)")
            #expect(rows.flatMap(\.disks).flatMap(\.volumes).map(\.name) == Array(repeating: "guest/root", count: 8))
            for clone in clones {
                var bare = set
                bare.paths = ["\(shop.folder)/bare.raw"]
                try await Tool.output(of: "cp", ["--sparse=always", set.paths[0], bare.paths[0]])
                let after = try await shop.content(of: [clone.image], .qcow2, like: set)
                try await expectSameRepair(.ext4, set.volume("guest/root"), before: bare, after: after, in: shop)
                try await expectSame(bare, after, in: shop)
            }
            try #expect(await Tool.output(of: "sha256sum", [template]) == before)
        }
    }

    @Test func `a domain that is refused doesn't stop the others`() async throws {
        try await Workshop.with { shop in
            let one = try await failed("-1", in: shop)
            let two = try await failed("-2", body: "<shareable/>", in: shop)
            let three = try await failed("-3", in: shop)
            let before = try await shop.snapshot()
            let run = try await all("--no-wait", in: shop)
            #expect(run.exitStatus == 9, "\(run)")
            #expect(run.report?.domains.map(\.outcome) == ["repaired", "refused", "repaired"], "\(run)")
            #expect(run.report?.domains[1].message.contains("shareable") == true)
            #expect(try await shop.snapshot()["disk-2.img"] == before["disk-2.img"])
            for (domain, state) in [(one, "running"), (two, "shut off"), (three, "running")] {
                try #expect(await self.state(domain) == state)
            }
        }
    }

    @Test func `names are chosen by globs`() async throws {
        try await Workshop.with { shop in
            for suffix in ["-a1", "-a2", "-b1"] { try await failed(suffix, in: shop) }
            let run = try await VirtFsck.run([
                "check", "--all", "--json", "--include", "\(shop.name)-a?", "--include", "\(shop.name)-b*", "--exclude",
                "\(shop.name)-?2",
            ])
            #expect(run.report?.domains.map(\.name) == ["\(shop.name)-a1", "\(shop.name)-b1"], "\(run)")
        }
    }

    @Test func `without a terminal and without --yes nothing is done`() async throws {
        try await Workshop.with { shop in
            try await failed("-1", in: shop)
            let before = try await shop.snapshot()
            let run = try await VirtFsck.run(["--all", "--include", "\(shop.name)*"])
            #expect(run.exitStatus == 16, "\(run)")
            #expect(run.errorOutput.contains("in a script: --yes"), "\(run)")
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a check and a plan of all change nothing, and ask nobody`() async throws {
        try await Workshop.with { shop in
            for suffix in ["-1", "-2"] { try await failed(suffix, in: shop) }
            // Sound, off, and not meant to run: nobody's business.
            try await shop.makeSimple(isDamaged: false)
            let before = try await shop.snapshot()
            let check = try await VirtFsck.run(["check", "--all", "--json", "--include", "\(shop.name)*"])
            #expect(check.exitStatus == 4, "\(check)")
            #expect(check.report?.domains.map(\.outcome) == ["repairable", "repairable"], "\(check)")
            let plan = try await VirtFsck.run(["--all", "--dry-run", "--json", "--include", "\(shop.name)*"])
            #expect(plan.exitStatus == 0, "\(plan)")
            #expect(plan.report?.domains.map(\.outcome) == ["planned", "planned"], "\(plan)")
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `an interruption leaves each domain done or untouched`() async throws {
        try await Workshop.with { shop in
            for suffix in ["-1", "-2", "-3"] { try await failed(suffix, in: shop) }
            let before = try await shop.snapshot()
            let run = try await HeldRun.during(
                arguments("--jobs", "1", in: shop), on: "\(shop.name)-1", in: shop.folder
            ) { held in
                kill(try #require(virtFsck(of: shop)), SIGINT)
                return try await held.run.value
            }
            #expect(run.exitStatus == 32, "\(run)")
            #expect(run.report?.domains.map(\.name) == ["-1", "-2", "-3"].map { shop.name + $0 })
            #expect(run.report?.domains.allSatisfy { !$0.committed } == true, "\(run)")
            #expect(
                run.report?.domains.map(\.message)
                    == ["cancelled; its disks are as they were"]
                    + Array(repeating: "cancelled before its turn: nothing was done", count: 2))
            try #expect(await shop.snapshot() == before)
            let again = try await all("--no-start", in: shop)
            #expect(again.exitStatus == 1, "\(again)")
            #expect(again.report?.domains.allSatisfy { $0.committed } == true, "\(again)")
        }
    }

    @Test func `a domain that is gone, started or redefined after it was planned has a row of its own`() async throws {
        try await Workshop.with { shop in
            var domains: [String] = []
            for suffix in ["-1", "-2", "-3", "-4"] { domains.append(try await failed(suffix, in: shop)) }
            let before = try await shop.snapshot()
            let run = try await HeldRun.during(
                arguments("--jobs", "1", in: shop), on: domains[0], in: shop.folder
            ) { held in
                let libvirt = PrivateLibvirt.shared
                try await libvirt.virsh("undefine", domains[1])
                try await libvirt.virsh("start", domains[2])
                let xml = try await libvirt.virsh("dumpxml", domains[3])
                let file = "\(shop.folder)/redefined.xml"
                try xml.replacing("disk-4.img", with: "disk-2.img").write(
                    toFile: file, atomically: true, encoding: .utf8)
                try await libvirt.virsh("define", file)
                held.goOn()
                return try await held.run.value
            }
            let rows = run.report?.domains ?? []
            #expect(rows.map(\.name) == domains, "\(run)")
            #expect(rows.map(\.outcome) == ["repaired", "failed", "refused", "repaired"], "\(run)")
            #expect(run.exitStatus == 9, "\(run)")
            #expect(rows[1].message.contains("no domain"), "\(run)")
            #expect(rows[2].message.contains("is running"), "\(run)")
            #expect(rows[3].disks.map(\.source) == ["\(shop.disks)/disk-2.img"], "\(run)")
            let after = try await shop.snapshot()
            #expect(after["disk-4.img"] == before["disk-4.img"])
            #expect(after["disk-1.img"] != before["disk-1.img"])
        }
    }

    @Test func `a plug is pulled of the guest that is dead, not of the one that is well`() async throws {
        try await Workshop.with { shop in
            var domains: [String] = []
            for (suffix, words) in [("-1", "(initramfs) "), ("-2", "host login: "), ("-3", "(initramfs) ")] {
                let name = try await failed(suffix, isAutostarted: false, isLogged: true, in: shop)
                domains.append(name)
                try await PrivateLibvirt.shared.virsh("start", name)
                try write(words, toLogOf: suffix, in: shop)
            }
            let numbers = try await numbers(domains)
            // The third one comes to itself between the plan and its turn.
            let run = try await HeldRun.during(
                arguments("--jobs", "1", "--force-off", in: shop), on: domains[0], in: shop.folder
            ) { held in
                try write("\nLinux version 6.1\nhost login: ", toLogOf: "-3", in: shop)
                held.goOn()
                return try await held.run.value
            }
            #expect(run.report?.domains.map(\.name) == [domains[0], domains[2]], "\(run)")
            #expect(run.report?.domains.map(\.outcome) == ["repaired", "refused"], "\(run)")
            #expect(run.report?.domains.last?.message.contains("left alone") == true, "\(run)")
            try #expect(await state(domains[0]) == "shut off")
            let after = try await self.numbers(Array(domains.dropFirst()))
            #expect(after == Array(numbers.dropFirst()))
        }
    }

    @Test func `a domain that runs and is named is powered off only when asked`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await PrivateLibvirt.shared.virsh("start", shop.name)
            let refused = try await shop.virtFsck("repair", "--no-start")
            #expect(refused.exitStatus == 8, "\(refused)")
            #expect(refused.domain?.message.contains("shut it down first") == true, "\(refused)")
            try #expect(await shop.state() == "running")
            let run = try await shop.virtFsck("repair", "--no-start", "--force-off")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.committed == true)
            try #expect(await shop.state() == "shut off")
        }
    }

    // MARK: Helpers

    /// Domains on overlays over one template, which have failed.
    private func clones(
        _ count: Int, of template: String, in shop: Workshop
    ) async throws -> [(name: String, image: String)] {
        var clones: [(name: String, image: String)] = []
        for number in 1...count {
            let image = "\(shop.disks)/clone\(number).qcow2"
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", template, image])
            try await shop.define([Workshop.disk(image, format: "qcow2")], suffix: "-\(number)")
            try await PrivateLibvirt.shared.virsh("autostart", "\(shop.name)-\(number)")
            clones.append(("\(shop.name)-\(number)", image))
        }
        return clones
    }

    /// A domain with a damaged disk that has failed: it is to start with the host, and doesn't run.
    @discardableResult
    private func failed(
        _ suffix: String, isAutostarted: Bool = true, isLogged: Bool = false, body: String = "", in shop: Workshop
    ) async throws -> String {
        let image = "\(shop.disks)/disk\(suffix).img"
        try await Filesystem.ext4.make(at: image)
        try await Filesystem.ext4.damage(image)
        let serial = "<serial type='pty'><log file='\(shop.folder)/console\(suffix).log' append='on'/></serial>"
        try await shop.define(
            [Workshop.disk(image, format: "raw", body: body) + (isLogged ? serial : "")], suffix: suffix)
        if isAutostarted { try await PrivateLibvirt.shared.virsh("autostart", shop.name + suffix) }
        return shop.name + suffix
    }

    private func write(_ words: String, toLogOf suffix: String, in shop: Workshop) throws {
        try FileHandle.update("\(shop.folder)/console\(suffix).log") { file in
            try file.write(Array(words.utf8), at: Int(try file.seekToEnd()))
        }
    }

    private func arguments(_ more: String..., in shop: Workshop) -> [String] {
        [
            "--all", "--yes", "--json", "--no-start", "--include", "\(shop.name)*", "--connect",
            PrivateLibvirt.shared.uri,
        ]
            + more
    }

    private func all(_ more: String..., in shop: Workshop) async throws -> VirtFsck.Run {
        try await VirtFsck.run(["--all", "--yes", "--json", "--include", "\(shop.name)*"] + more)
    }

    private func state(_ domain: String) async throws -> String {
        try await PrivateLibvirt.shared.virsh("domstate", domain).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// libvirt's numbers of running domains: a new one after each start.
    private func numbers(_ domains: [String]) async throws -> [String] {
        var numbers: [String] = []
        for domain in domains { numbers.append(try await PrivateLibvirt.shared.virsh("domid", domain)) }
        return numbers
    }

    /// The virt-fsck that works on this test's domains.
    private func virtFsck(of shop: Workshop) -> pid_t? {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.compactMap { pid_t($0) }.first { pid in
            let command = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline").map {
                String(decoding: $0, as: UTF8.self)
            }
            let words = command?.split(separator: "\0") ?? []
            return words.first?.hasSuffix("/virt-fsck") == true && words.contains("\(shop.name)*")
        }
    }
}
