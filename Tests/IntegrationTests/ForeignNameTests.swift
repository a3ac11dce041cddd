import Foundation
import Glibc
import TestSupport
import Testing

/// Names of files that others wrote, in XML and in headers: what they mean, and that none of them holds anything up.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct ForeignNameTests {
    @Test(arguments: ["disk.img", "./disk.img", "../disk.img"])
    func `a name without a leading slash is no file of the caller's folder`(name: String) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            let folder = "\(shop.disks)/inner"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try await Tool.output(of: "cp", [made.image, "\(folder)/disk.img"])
            try await shop.redefine([Workshop.disk(name, format: "raw")])
            let before = try await shop.snapshot()
            for verb in ["check", "repair"] {
                let run = try await VirtFsck.run(["sh", "-c", #"cd "$0" && exec "$@""#, folder], arguments(verb, shop))
                expectOneLine(run, ["vda", name, "is no absolute path", "virsh edit"])
            }
            try #expect(await shop.snapshot() == before)
        }
    }

    private func arguments(_ verb: String, _ shop: Workshop) -> [String] {
        [verb, "-q", shop.name, "--connect", PrivateLibvirt.shared.uri]
    }

    @Test(arguments: ["/proc/self/fd/9", "/dev/fd/9", "link", "/proc/1/root"])
    func `a name that means something else in every process`(name: String) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            var path = name == "/proc/1/root" ? name + made.image : name
            if name == "link" {
                path = "\(shop.folder)/link"
                symlink("/dev/fd/9", path)
            }
            try await shop.redefine([Workshop.disk(path, format: "raw")])
            let before = try await shop.snapshot()
            for verb in ["check", "repair"] {
                let run = try await VirtFsck.run(
                    ["sh", "-c", #"exec 9<>"$0"; exec "$@""#, made.image], arguments(verb, shop))
                expectOneLine(run, ["vda", path, "leads through /proc"])
            }
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test(arguments: ["qcow2", "raw"])
    func `a FIFO that a domain calls its disk holds nobody up`(format: String) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let fifo = "\(shop.folder)/fifo"
            mkfifo(fifo, 0o666)
            try await shop.define([Workshop.disk(fifo, format: format)], suffix: "-fifo")
            let other = try await VirtFsck.run(["check", "-q", "\(shop.name)-fifo"])
            expectOneLine(other, ["vda", fifo, "neither a file nor a block device"])
            try await shop.expectRepaired()
        }
    }

    @Test(arguments: ["backing", "data"])
    func `a FIFO that an image's header names holds nobody up`(kind: String) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let fifo = "\(shop.folder)/fifo"
            let top = "\(shop.folder)/top.qcow2"
            if kind == "backing" {
                try await Tool.output(
                    of: "qemu-img", ["create", "-q", "-f", "qcow2", "-u", "-b", fifo, "-F", "qcow2", top, "8M"])
            } else {
                try await Tool.output(
                    of: "qemu-img", ["create", "-q", "-f", "qcow2", "-o", "data_file=\(fifo)", top, "8M"])
                unlink(fifo)
            }
            mkfifo(fifo, 0o666)
            try await shop.define([Workshop.disk(top, format: "qcow2")], suffix: "-other")
            let other = try await VirtFsck.run(["check", "-q", "\(shop.name)-other"])
            #expect(other.exitStatus == 8, "\(other)")
            #expect(other.errorOutput.contains("vda"), "\(other)")
            try await shop.expectRepaired()
        }
    }

    @Test func `a filesystem that does not answer holds nobody up but those whose disks are on it`() async throws {
        // Every run on a host sees it: it is shown to none but this test's.
        try await PrivateLibvirt.withOne { libvirt, shop in
            let disk = "\(shop.disks)/disk.img"
            try await Filesystem.ext4.make(at: disk)
            try await Filesystem.ext4.damage(disk)
            try await shop.define([Workshop.disk(disk, format: "raw")], on: libvirt)
            let image = "\(shop.folder)/behind.img"
            let place = "\(shop.folder)/exported"
            try DiskSet.createSparse(image, size: 1 << 20)
            _ = FileManager.default.createFile(atPath: place, contents: nil)
            let daemon = Process()
            daemon.executableURL = URL(filePath: "/usr/bin/qemu-storage-daemon")
            daemon.arguments = [
                "--blockdev", "driver=file,node-name=n,filename=\(image)",
                "--export", "type=fuse,id=e,node-name=n,mountpoint=\(place),allow-other=off",
            ]
            try daemon.run()
            defer {
                kill(daemon.processIdentifier, SIGKILL)
                daemon.waitUntilExit()
                umount2(place, 2)
            }
            let isThere = await eventually(within: .seconds(60)) {
                ((try? FileManager.default.attributesOfItem(atPath: place))?[.size] as? Int) == 1 << 20
            }
            try #require(isThere)
            try await shop.define([Workshop.disk(place, format: "raw")], suffix: "-silent", on: libvirt)
            try await shop.define([Workshop.disk(place, format: "qcow2")], suffix: "-silent2", on: libvirt)
            // What an answering image lies on, and what a link leads to. A loop device would be every other test's, too.
            let over = "\(shop.folder)/over.qcow2"
            try await Tool.output(
                of: "qemu-img", ["create", "-q", "-f", "qcow2", "-u", "-b", place, "-F", "qcow2", over, "8M"])
            try await shop.define([Workshop.disk(over, format: "qcow2")], suffix: "-over", on: libvirt)
            let link = "\(shop.disks)/link.img"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: place)
            try await shop.define([Workshop.disk(link, format: "raw")], suffix: "-link", on: libvirt)
            kill(daemon.processIdentifier, SIGSTOP)
            let run = try await VirtFsck.run(["repair", "--no-start", "--json", shop.name], connect: libvirt.uri)
            #expect(run.exitStatus == 1, "\(run)")
            #expect(
                run.domain?.warnings?.contains { $0.contains("\(shop.name)-silent: \(place): has not answered") }
                    == true)
            let silent = try await VirtFsck.run(["check", "-q", "\(shop.name)-silent"], connect: libvirt.uri)
            #expect(silent.exitStatus == 8, "\(silent)")
            #expect(silent.errorOutput.contains("has not answered"), "\(silent)")
            kill(daemon.processIdentifier, SIGCONT)
        }
    }

    @Test func `a domain whose saved state is torn holds no other up`() async throws {
        try await PrivateLibvirt.withOne { libvirt, shop in
            let disk = "\(shop.disks)/disk.img"
            try await Filesystem.ext4.make(at: disk)
            try await Filesystem.ext4.damage(disk)
            try await shop.define([Workshop.disk(disk, format: "raw")], on: libvirt)
            let other = "\(shop.disks)/other.img"
            try DiskSet.createSparse(other, size: 1 << 20)
            try await shop.define([Workshop.disk(other, format: "raw")], suffix: "-saved", on: libvirt)
            try await libvirt.virsh("start", "\(shop.name)-saved")
            try await libvirt.virsh("managedsave", "\(shop.name)-saved")
            let save = "\(libvirt.state)/qemu/save/\(shop.name)-saved.save"
            try FileHandle.update(save) { try $0.write([UInt8](repeating: 0, count: 4096), at: 0) }
            let run = try await VirtFsck.run(["repair", "--no-start", "--json", shop.name], connect: libvirt.uri)
            #expect(run.exitStatus == 1, "\(run)")
            let words = "\(shop.name)-saved: its managed save can't be read"
            #expect(run.domain?.warnings?.contains { $0.contains(words) } == true, "\(run)")
        }
    }

    @Test func `a missing disk without which the domain starts is left out, and said to be`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            let gone = Workshop.disk("\(shop.disks)/gone.img", format: "raw", target: "vdb")
            try await shop.redefine([
                Workshop.disk(made.image, format: "qcow2"),
                gone.replacingOccurrences(of: "gone.img'", with: "gone.img' startupPolicy='optional'"),
            ])
            let run = try await shop.virtFsck("repair", "--no-start")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.warnings?.contains { $0.contains("vdb") && $0.contains("gone.img is missing") } == true)
            try await shop.redefine([Workshop.disk(made.image, format: "qcow2"), gone])
            try await expectRefusal("vdb", "gone.img", in: shop)
        }
    }

    @Test(arguments: ["immutable", "append-only", "read-only device"])
    func `what the host can't write to is part of the plan`(kind: String) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            var loop: String?
            switch kind {
            case "immutable": try await Tool.output(of: "chattr", ["+i", made.image])
            case "append-only": try await Tool.output(of: "chattr", ["+a", made.image])
            default:
                let device = try await Tool.output(of: "losetup", ["--find", "--show", "--read-only", made.image])
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                loop = device
                try await shop.redefine([
                    "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='\(device)'/>"
                        + "<target dev='vda' bus='virtio'/></disk>"
                ])
            }
            for verb in ["check", "repair"] {
                let run = try await VirtFsck.run([verb, "-q", shop.name])
                #expect(run.exitStatus == 8, "\(run)")
                #expect(run.errorOutput.contains("vda") && run.errorOutput.contains("refused"), "\(run)")
                #expect(run.errorOutput.contains(loop == nil ? "chattr -i -a" : "read-only"), "\(run)")
            }
            if let loop {
                try await Tool.output(of: "losetup", ["--detach", loop])
            } else {
                try await Tool.output(of: "chattr", ["-i", "-a", made.image])
                try await shop.expectRepaired()
            }
        }
    }
}
