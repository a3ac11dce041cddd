import Foundation
import Glibc
import TestSupport
import Testing

/// A domain is not started while its disks are under repair, and can be afterwards.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct StartGuardTests {
    @Test(arguments: TestHost.engines)
    func `a domain on a raw file can't be started while it is checked, and can be afterwards`(
        _ engine: String
    ) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple(.ext4, .raw)
            let xml = try await shop.xml()
            let arguments = arguments(shop.name, "--engine", engine)
            try await HeldRun.during(arguments, on: shop.name, in: shop.folder) { held in
                try await expectNoStart(of: shop.name, #"Failed to get "write" lock"#)
                held.goOn()
                let run = try await held.run.value
                // A start that was refused is none: the repair stands.
                #expect(run.exitStatus == 1, "\(run)")
                #expect(run.domain?.committed == true)
            }
            try #expect(await shop.xml() == xml)
            try await PrivateLibvirt.shared.virsh("start", shop.name)
            try #expect(await shop.state() == "running")
        }
    }

    @Test func `a domain on a raw file can't be started while its repair is merged`() async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk.img"
            try await Filesystem.ext4.make(at: disk, size: 256 << 20)
            try await shop.define([Workshop.disk(disk, format: "raw")])
            let arguments = arguments(shop.name)
            let checker = HeldRun.repairing("200M")
            try await HeldRun.during(
                arguments, on: shop.name, in: shop.folder, checker: checker, mergingInto: disk
            ) { held in
                try await held.duringMerge {
                    try #expect(await shop.isOnOverlay())
                    try await expectNoStart(of: shop.name, "lock")
                }
                let run = try await held.run.value
                #expect(run.exitStatus == 1, "\(run)")
                #expect(run.domain?.committed == true)
            }
            let lastLine = (200 << 20) / 9 * 9 - 9
            try #expect(FileHandle.read(disk) { try $0.bytes(at: lastLine, count: 9) } == Array("repaired\n".utf8))
            try await PrivateLibvirt.shared.virsh("start", shop.name)
        }
    }

    @Test func `where a process of QEMU's writes to a raw disk nothing is done`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            let before = try await shop.snapshot()
            let pidFile = "\(shop.folder)/writer.pid"
            try await Tool.output(
                of: "qemu-nbd",
                [
                    "--fork", "--persistent", "--format", "raw", "--socket", "\(shop.folder)/writer.sock", "--pid-file",
                    pidFile, made.image,
                ])
            let writer = try #require(Int32(String(contentsOfFile: pidFile, encoding: .utf8).filter(\.isNumber)))
            let run = try await shop.virtFsck("repair", "--no-start")
            kill(writer, SIGKILL)
            #expect(run.exitStatus == 8, "\(run)")
            #expect(run.domain?.outcome == "refused")
            #expect(run.domain?.message.contains("process \(writer) (qemu-nbd) has it open for writing") == true)
            #expect(await eventually { HostState.process("qemu-nbd", holding: shop.disks) == nil })
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `libvirt's hook refuses each start from before the checker to the end of the run`() async throws {
        try await Workshop.with { shop in
            let file = "\(shop.disks)/disk.img"
            try await Filesystem.ext4.make(at: file)
            try await Filesystem.ext4.damage(file)
            let loop = try await Tool.output(of: "losetup", ["--find", "--show", file])
                .trimmingCharacters(in: .whitespacesAndNewlines)
            do {
                // Nothing but the hook protects a block device, where libvirt gives QEMU a /dev of its own.
                try await shop.define(
                    [
                        "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='\(loop)'/>"
                            + "<target dev='vda' bus='virtio'/></disk>"
                    ], suffix: "-hooked")
                let domain = "\(shop.name)-hooked"
                let plan = try await VirtFsck.run(["--dry-run", domain])
                #expect(!plan.errorOutput.contains("nothing keeps the domain"), "\(plan)")
                try await HeldRun.during(arguments(domain), on: domain, in: shop.folder) { held in
                    try await expectNoStart(of: domain, "virt-fsck is repairing the disks of \(domain)")
                    // One that says nothing of a lock file is none of ours.
                    let others = try await Tool.run(
                        "sh", ["-c", #"echo '<domain/>' | exec "$0" x prepare begin -"#, hook])
                    #expect(others.exitStatus == 0)
                    held.goOn()
                    let run = try await held.run.value
                    #expect(run.exitStatus == 1, "\(run)")
                    #expect(run.domain?.committed == true)
                }
                try await PrivateLibvirt.shared.virsh("start", domain)
                try await PrivateLibvirt.shared.virsh("destroy", domain)
                // A run starts its domain itself.
                let again = try await VirtFsck.run(["repair", "--json", domain])
                #expect(again.exitStatus == 0, "\(again)")
                try #expect(await PrivateLibvirt.shared.virsh("domstate", domain).contains("running"))
                try await PrivateLibvirt.shared.virsh("destroy", domain)
            } catch {
                try await Tool.output(of: "losetup", ["--detach", loop])
                throw error
            }
            try await Tool.output(of: "losetup", ["--detach", loop])
        }
    }

    @Test(arguments: [
        ["x", "start", "begin", "-"], ["x", "prepare", "end", "-"], ["x", "release", "end", "-"], ["x"], [],
    ]) func `the hook has no say in anything but the beginning of a start`(_ arguments: [String]) async throws {
        let uuid = UUID().uuidString.lowercased()
        let lock = "/run/virt-fsck/\(uuid).start.lock"
        try FileManager.default.createDirectory(atPath: "/run/virt-fsck", withIntermediateDirectories: true)
        // flock holds the lock for the time of the program that it runs.
        let script = #"printf '<domain>\n  <uuid>%s</uuid>\n</domain>' "$1" | flock --exclusive "$2" "$0" "${@:3}""#
        func call(_ arguments: [String]) async throws -> Int32 {
            try await Tool.run("bash", ["-c", script, hook, uuid, lock] + arguments).exitStatus
        }
        #expect(try await call(arguments) == 0)
        #expect(try await call(["x", "prepare", "begin", "-"]) == 1)
        // What a killed run left behind is no lock.
        let free = try await Tool.run(
            "bash", ["-c", #"printf '<uuid>%s</uuid>' "$1" | "$0" x prepare begin -"#, hook, uuid])
        #expect(free.exitStatus == 0)
        try FileManager.default.removeItem(atPath: lock)
    }

    private var hook: String { PrivateLibvirt.hook }

    @Test func `the second run on a domain says who works on it`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await HeldRun.during(arguments(shop.name), on: shop.name, in: shop.folder) { held in
                for verb in ["repair", "check"] {
                    let second = try await VirtFsck.run([verb, "--quiet", shop.name])
                    let expected = try Regex(
                        "\(shop.name): refused: virt-fsck \\(pid \\d+, since 20[-0-9]+ [:0-9]+ UTC\\) is working on it; "
                            + "wait until that has ended\n")
                    #expect(second.exitStatus == 8, "\(second)")
                    #expect(second.errorOutput.contains(expected), "\(second)")
                }
                held.goOn()
                let first = try await held.run.value
                #expect(first.exitStatus == 1, "\(first)")
            }
            let third = try await shop.virtFsck("repair", "--no-start")
            #expect(third.exitStatus == 0, "\(third)")
        }
    }

    @Test func `two clones of one template are repaired at once`() async throws {
        try await Workshop.with { shop in
            let base = "\(shop.disks)/base.img"
            try await Filesystem.ext4.make(at: base)
            try await Filesystem.ext4.damage(base)
            for clone in ["-one", "-two"] {
                let image = "\(shop.disks)/disk\(clone).qcow2"
                try await Tool.output(
                    of: "qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, image])
                try await shop.define([Workshop.disk(image, format: "qcow2")], suffix: clone)
            }
            let one = "\(shop.name)-one"
            try await HeldRun.during(arguments(one), on: one, in: shop.folder) { held in
                let second = try await VirtFsck.run(["repair", "--no-start", "--json", "\(shop.name)-two"])
                #expect(second.exitStatus == 1, "\(second)")
                held.goOn()
                let first = try await held.run.value
                #expect(first.exitStatus == 1, "\(first)")
            }
        }
    }

    @Test func `an image that came to another domain meanwhile is not repaired by that one`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            try await HeldRun.during(arguments(shop.name), on: shop.name, in: shop.folder) { held in
                try await shop.define([Workshop.disk(made.image, format: "qcow2")], suffix: "-twin")
                let second = try await VirtFsck.run(["repair", "--quiet", "\(shop.name)-twin"])
                #expect(second.exitStatus == 8, "\(second)")
                #expect(second.errorOutput.contains("for \(shop.name)) is working on it"), "\(second)")
            }
        }
    }
}
