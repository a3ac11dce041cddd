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
            let silent = try await SilentFile(at: place, over: image)
            defer { silent.end() }
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
            silent.stop()
            let run = try await VirtFsck.run(["repair", "--no-start", "--json", shop.name], connect: libvirt.uri)
            #expect(run.exitStatus == 1, "\(run)")
            #expect(
                run.domain?.warnings?.contains { $0.contains("\(shop.name)-silent: \(place): has not answered") }
                    == true)
            let own = try await VirtFsck.run(["check", "-q", "\(shop.name)-silent"], connect: libvirt.uri)
            #expect(own.exitStatus == 8, "\(own)")
            #expect(own.errorOutput.contains("has not answered"), "\(own)")
            silent.goOn()
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

    @Test func `a device that is read-only is part of the plan`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            let loop = try await Tool.output(of: "losetup", ["--find", "--show", "--read-only", made.image])
                .trimmingCharacters(in: .whitespacesAndNewlines)
            try await shop.redefine([
                "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='\(loop)'/>"
                    + "<target dev='vda' bus='virtio'/></disk>"
            ])
            try await expectUnwritable("vda", "the device is read-only", in: shop)
            try await Tool.output(of: "losetup", ["--detach", loop])
        }
    }

    /// What a repair writes to, beside its overlay.
    enum Written: CaseIterable {
        case disk, folder, definition
    }

    @Test(arguments: Written.allCases, ["i", "a"])
    func `what is immutable or append-only is part of the plan`(what: Written, flag: String) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            let path =
                switch what {
                case .disk: made.image
                case .folder: shop.disks
                case .definition: "\(PrivateLibvirt.shared.definitions)/\(shop.name).xml"
                }
            try await Tool.output(of: "chattr", ["+\(flag)", path])
            try await expectUnwritable(what == .definition ? shop.name : "vda", "chattr -i -a", in: shop)
            try await Tool.output(of: "chattr", ["-\(flag)", path])
            try await shop.expectRepaired()
        }
    }

    @Test(arguments: ["link", "/proc/self/cwd"])
    func `a scratch folder is named as everybody knows it`(_ kind: String) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple(.ext4, .raw)
            let link = "\(shop.folder)/link"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "/tmp")
            let run = try await VirtFsck.run(
                ["env", "--chdir=/tmp"],
                [
                    "repair", "-q", "--scratch-dir", kind == "link" ? link : kind, shop.name, "--connect",
                    PrivateLibvirt.shared.uri,
                ])
            #expect(run.exitStatus == 8, "\(run)")
            #expect(run.errorOutput.contains("/tmp: does not survive a reboot"), "\(run)")
        }
    }

    private func expectUnwritable(_ words: String..., in shop: Workshop) async throws {
        // The private libvirtd keeps its domains where the program doesn't see them, unless it is told.
        let configuration = "\(shop.folder)/configuration/libvirt"
        try FileManager.default.createDirectory(atPath: configuration, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: "\(configuration)/qemu", withDestinationPath: PrivateLibvirt.shared.definitions)
        for verb in ["check", "repair"] {
            let run = try await VirtFsck.run(
                ["env", "XDG_CONFIG_HOME=\(shop.folder)/configuration"],
                [verb, "-q", shop.name, "--connect", PrivateLibvirt.shared.uri])
            #expect(run.exitStatus == 8, "\(run)")
            for word in words + ["refused"] { #expect(run.errorOutput.contains(word), "\(run)") }
        }
    }

    @Test func `a disk that is only read may lie where nothing can be written`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            let folder = "\(shop.folder)/fixed"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let data = "\(folder)/data.img"
            try await Filesystem.ext4.make(at: data)
            try await Tool.output(of: "chattr", ["+i", folder])
            try await shop.redefine([
                Workshop.disk(made.image, format: "raw"),
                Workshop.disk(data, format: "raw", target: "vdb", body: "<readonly/>"),
            ])
            let run = try await shop.virtFsck("repair", "--no-start")
            try await Tool.output(of: "chattr", ["-i", folder])
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.disks.flatMap(\.volumes).map(\.outcome) == ["repaired", "clean"], "\(run)")
        }
    }
}
