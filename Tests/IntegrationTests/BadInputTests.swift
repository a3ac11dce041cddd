import Foundation
import Glibc
import TestSupport
import Testing

/// Each gets one clear line with the way out, the exit status of the design, and leaves the disk and the host as they were.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct BadInputTests {
    // MARK: The domain

    @Test func `no such domain`() async throws {
        try await Workshop.with { shop in
            let run = try await VirtFsck.run(["--quiet", shop.name])
            expectOneLine(run, [shop.name, "no domain"])
        }
    }

    @Test func `a running domain`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await PrivateLibvirt.shared.virsh("start", shop.name)
            try await expectRefusal("is running", "virsh shutdown \(shop.name)", in: shop)
            try #expect(await shop.state() == "running")
        }
    }

    @Test func `a paused domain`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await PrivateLibvirt.shared.virsh("start", shop.name, "--paused")
            try await expectRefusal("is paused", "virsh destroy \(shop.name)", in: shop)
            try #expect(await shop.state() == "paused")
        }
    }

    @Test func `a domain with a managed save`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await PrivateLibvirt.shared.virsh("start", shop.name)
            try await PrivateLibvirt.shared.virsh("managedsave", shop.name)
            try await expectRefusal("managed save", "--discard-saved-state", in: shop)
            try await expectRefusal("managed save", arguments: ["check"], in: shop)
        }
    }

    @Test func `a managed save that is given up is gone when a repair was merged`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await save(shop)
            let run = try await shop.virtFsck("repair", "--no-start", "--discard-saved-state")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.committed == true)
            try #expect(await !isSaved(shop))
        }
    }

    @Test(arguments: [["--commit", "never"], []])
    func `a managed save that is given up stays where nothing is merged`(_ arguments: [String]) async throws {
        try await Workshop.with { shop in
            // Nothing is merged because nobody wants it, or because there is nothing.
            try await shop.makeSimple(isDamaged: !arguments.isEmpty)
            try await save(shop)
            let before = try await shop.snapshot()
            let run = try await VirtFsck.run(
                ["repair", "--no-start", "--discard-saved-state", "--json"] + arguments + [shop.name])
            #expect(run.exitStatus == (arguments.isEmpty ? 0 : 4), "\(run)")
            try #expect(await isSaved(shop))
            try #expect(await shop.snapshot() == before)
        }
    }

    private func save(_ shop: Workshop) async throws {
        try await PrivateLibvirt.shared.virsh("start", shop.name)
        try await PrivateLibvirt.shared.virsh("managedsave", shop.name)
        try #expect(await isSaved(shop))
    }

    private func isSaved(_ shop: Workshop) async throws -> Bool {
        try await PrivateLibvirt.shared.virsh("dominfo", shop.name).contains(/Managed save: +yes/)
    }

    @Test func `a disk that libvirt copies`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            try await PrivateLibvirt.shared.virsh("start", shop.name)
            let copy = "\(shop.folder)/copy.qcow2"
            try await PrivateLibvirt.shared.virsh("blockcopy", shop.name, "vda", copy, "--transient-job")
            let run = try await VirtFsck.run(["--quiet", shop.name])
            #expect(run.exitStatus == 8, "\(run)")
            #expect(run.errorOutput.contains("vda: libvirt is at work on it (copy)"), "\(run)")
            #expect(run.errorOutput.contains("virsh blockjob \(shop.name) vda"))
            try await PrivateLibvirt.shared.virsh("blockjob", shop.name, "vda", "--abort")
            let after = try await VirtFsck.run(["--quiet", shop.name])
            #expect(!after.errorOutput.contains("at work"), "\(after)")
            #expect(FileManager.default.fileExists(atPath: made.image))
        }
    }

    @Test func `a domain without a disk`() async throws {
        try await Workshop.with { shop in
            try await shop.define([])
            try await expectRefusal("no disk", in: shop)
        }
    }

    // MARK: The image

    @Test func `a domain that somebody has given a gone overlay again is told its disk`() async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk.img"
            try await Filesystem.ext4.make(at: disk)
            let overlay = "\(disk).virt-fsck-0123456789ab-vda.qcow2"
            try await shop.define([Workshop.disk(overlay, format: "qcow2")])
            try await expectRefusal("vda", overlay, "is gone", "virsh edit", "its disk back, \(disk),", in: shop)
        }
    }

    @Test func `a missing disk`() async throws {
        try await Workshop.with { shop in
            try await shop.define([Workshop.disk("\(shop.disks)/gone.qcow2", format: "qcow2")])
            try await expectRefusal("vda", "\(shop.disks)/gone.qcow2", "No such file", in: shop)
        }
    }

    @Test func `a disk that is not of the format that the XML says`() async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk.qcow2"
            try await Filesystem.ext4.make(at: disk)
            try await shop.define([Workshop.disk(disk, format: "qcow2")])
            try await expectRefusal("vda", disk, "qcow2", in: shop)
        }
    }

    @Test func `a format that is not supported`() async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk.vmdk"
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "vmdk", disk, "8M"])
            try await shop.define([Workshop.disk(disk, format: "vmdk")])
            try await expectRefusal("vda", "vmdk", "not supported", in: shop)
        }
    }

    @Test func `a disk that is a folder`() async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk"
            try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
            try await shop.define([Workshop.disk(disk, format: "raw")])
            try await expectRefusal("vda", disk, in: shop)
        }
    }

    @Test func `a qcow2 that was truncated`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            try FileHandle.update(made.image) { try $0.truncate(atOffset: try $0.seekToEnd() / 2) }
            try await expectRefusal("vda", made.image, in: shop)
        }
    }

    @Test func `a qcow2 that holds not even its header`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            try FileHandle.update(made.image) { try $0.truncate(atOffset: 40) }
            try await expectRefusal("vda", made.image, in: shop)
        }
    }

    @Test func `a raw disk of no bytes`() async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk.img"
            try DiskSet.createSparse(disk, size: 0)
            try await shop.define([Workshop.disk(disk, format: "raw")])
            try await expectRefusal("vda", disk, "empty", in: shop)
        }
    }

    @Test func `a missing backing file`() async throws {
        try await Workshop.with { shop in
            let base = "\(shop.disks)/base.qcow2"
            let disk = "\(shop.disks)/disk.qcow2"
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "qcow2", base, "8M"])
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, disk])
            try FileManager.default.removeItem(atPath: base)
            try await shop.define([Workshop.disk(disk, format: "qcow2")])
            try await expectRefusal("vda", base, "backing file", "missing", in: shop)
        }
    }

    @Test func `a backing file whose format is not recorded`() async throws {
        try await Workshop.with { shop in
            let base = "\(shop.disks)/base.qcow2"
            let disk = "\(shop.disks)/disk.qcow2"
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "qcow2", base, "8M"])
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, disk])
            // The header extension "backing file format name" (docs/interop/qcow2.txt) becomes an unknown one.
            try FileHandle.update(disk) { file in
                let header = try file.bytes(at: 0, count: 1024)
                let place = try #require(
                    (0..<1020).first { Array(header[$0..<($0 + 4)]) == [0xE2, 0x79, 0x2A, 0xCA] })
                try file.write([0x12, 0x34, 0x56, 0x78], at: place)
            }
            try await shop.define([Workshop.disk(disk, format: "qcow2")])
            try await expectRefusal("vda", disk, "format of its backing file", "qemu-img rebase", in: shop)
        }
    }

    @Test func `an image that another domain uses`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            try await shop.define([Workshop.disk(made.image, format: "qcow2")], suffix: "-twin")
            try await expectRefusal("vda", "used by", "\(shop.name)-twin", in: shop)
        }
    }

    @Test func `an image that is the backing file of another domain's`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple()
            let other = "\(shop.disks)/other.qcow2"
            try await Tool.output(
                of: "qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", made.image, other])
            try await shop.define([Workshop.disk(other, format: "qcow2")], suffix: "-twin")
            try await expectRefusal("vda", "\(shop.name)-twin", in: shop)
        }
    }

    /// Disks that a repair must keep off.
    enum ForeignDisk: String, CaseIterable, Sendable {
        case lun, shareable, transient, network, encrypted

        func element(_ path: String) -> String {
            let file = "<source file='\(path)'/>"
            let target = "<target dev='vda' bus='virtio'/>"
            let qcow2 = "<driver name='qemu' type='qcow2'/>"
            return switch self {
            case .lun:
                "<disk type='block' device='lun'><driver name='qemu' type='raw'/><source dev='/dev/null'/>"
                    + "<target dev='sda' bus='scsi'/></disk>"
            case .shareable:
                "<disk type='file'><driver name='qemu' type='raw'/>\(file)\(target)<shareable/></disk>"
            case .transient: "<disk type='file'>\(qcow2)\(file)\(target)<transient/></disk>"
            case .network:
                "<disk type='network'><driver name='qemu' type='raw'/><source protocol='nbd' name='disk'>"
                    + "<host name='127.0.0.1' port='10809'/></source>\(target)</disk>"
            case .encrypted:
                "<disk type='file'>\(qcow2)<source file='\(path)'><encryption format='luks'>"
                    + "<secret type='passphrase' uuid='6f1d4c1e-6d0a-4b51-9c2b-0d6f5a7b0001'/></encryption></source>"
                    + "\(target)</disk>"
            }
        }

        var word: String { self == .lun ? "device='lun'" : rawValue }
    }

    @Test(arguments: ForeignDisk.allCases)
    func `a disk that a repair must keep off`(_ kind: ForeignDisk) async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk.qcow2"
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "qcow2", disk, "8M"])
            try await shop.define([kind.element(disk)])
            try await expectRefusal(kind == .lun ? "sda" : "vda", kind.word, in: shop)
        }
    }

    @Test func `a read-only disk is checked and not repaired`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple(body: "<readonly/>")
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair")
            #expect(run.exitStatus == 4, "\(run)")
            #expect(run.volume("vda")?.outcome == "repairable")
            #expect(run.domain?.committed == false)
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test(arguments: TestHost.engines)
    func `a raw disk whose guest wrote a qcow2 header is raw`(_ engine: String) async throws {
        try await Workshop.with { shop in
            let kind = Filesystem.ext4
            let set = try await DiskSet.make(.wholeDisk, size: kind.size, in: shop.folder)
            let file = "\(shop.folder)/fs"
            let trap = "\(shop.folder)/trap.qcow2"
            try await kind.make(at: file)
            try await kind.damage(file)
            // A real header that would show the guest a file of the host: it fits into ext4's boot block.
            try await Tool.output(
                of: "qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", trap, "8M"])
            let header = try FileHandle.read(trap) { try $0.bytes(at: 0, count: 1024) }
            try FileHandle.update(file) { try $0.write(header, at: 0) }
            try set.embed(file, in: set.volumes[0])
            let images = try await shop.defineImages(of: set, .raw)
            let run = try await shop.virtFsck("repair", "--no-start", "--engine", engine)
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.volume("vda")?.outcome == "repaired")
            let after = try await shop.content(of: images, .raw, like: set)
            try await expectSameRepair(kind, set.volumes[0], before: set, after: after, in: shop)
            try await expectSame(set, after, in: shop)
        }
    }

    @Test(arguments: [
        "with space", "quo'te\"s", "com,ma,s", "col:on", "per%cent", "back\\slash", "äöü", "-dash", "json:{}",
    ])
    func `a path with odd characters`(_ name: String) async throws {
        try await Workshop.with { shop in
            let folder = "\(shop.disks)/\(name)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let file = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: file)
            try await Filesystem.ext4.damage(file)
            // A backing file with such a name, too.
            let base = "\(folder)/\(name).base"
            let image = "\(folder)/\(name).qcow2"
            try await Tool.output(of: "cp", ["--sparse=always", file, base])
            try await Tool.output(
                of: "qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, image])
            try await shop.define([Workshop.disk(image, format: "qcow2")])
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair", "--no-start")
            #expect(run.exitStatus == 1, "\(run)")
            let after = try await shop.snapshot()
            #expect(after["xml"] == before["xml"])
            #expect(after["\(name)/\(name).base"] == before["\(name)/\(name).base"])
            #expect(Set(after.keys) == Set(before.keys))
            let again = try await shop.virtFsck("check")
            #expect(again.exitStatus == 0, "\(again)")
        }
    }

    @Test(arguments: ["with space", "quo'te\"s", "com,ma=s", "col:on", "nbd:x", "json:{}", "-dash", "&amp;"])
    func `a raw disk with odd characters in its path, and a folder for overlays with such a name`(
        _ name: String
    ) async throws {
        try await Workshop.with { shop in
            let folder = "\(shop.disks)/\(name)"
            let scratch = "/var/lib/virt-fsck-test-\(shop.name)/\(name)"
            for path in [folder, scratch] {
                try FileManager.default.createDirectory(
                    atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
            }
            defer { try? FileManager.default.removeItem(atPath: "/var/lib/virt-fsck-test-\(shop.name)") }
            let image = "\(folder)/\(name)"
            try await Filesystem.ext4.make(at: image)
            try await Filesystem.ext4.damage(image)
            try await shop.define([Workshop.disk(image, format: "raw")])
            let xml = try await shop.xml()
            let check = try await shop.virtFsck("check")
            #expect(check.volume("vda")?.outcome == "repairable", "\(check)")
            let run = try await shop.virtFsck("repair", "--scratch-dir", scratch)
            #expect(run.exitStatus == 1, "\(run)")
            try #expect(await shop.state() == "running")
            try #expect(await shop.xml() == xml)
            try #expect(FileManager.default.contentsOfDirectory(atPath: scratch) == [])
            try #expect(FileManager.default.contentsOfDirectory(atPath: folder) == [name])
        }
    }

    @Test func `a symbolic link to a raw disk stays one`() async throws {
        try await Workshop.with { shop in
            let real = "\(shop.disks)/real.img"
            let link = "\(shop.disks)/link.img"
            try await Filesystem.ext4.make(at: real)
            try await Filesystem.ext4.damage(real)
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "real.img")
            try await shop.define([Workshop.disk(link, format: "raw")])
            let xml = try await shop.xml()
            let run = try await shop.virtFsck("repair")
            #expect(run.exitStatus == 1, "\(run)")
            try #expect(await shop.state() == "running")
            try #expect(await shop.xml() == xml)
            try #expect(FileManager.default.destinationOfSymbolicLink(atPath: link) == "real.img")
        }
    }

    @Test func `a domain with 300 disks`() async throws {
        try await Workshop.with { shop in
            let damaged = [0, 150, 299]
            var elements: [String] = []
            for number in 0..<300 {
                let image = "\(shop.disks)/\(number).img"
                if damaged.contains(number) {
                    try await Filesystem.ext4.make(at: image)
                    try await Filesystem.ext4.damage(image)
                } else {
                    try DiskSet.createSparse(image, size: 1 << 20)
                }
                let address =
                    "<address type='drive' controller='0' bus='0' target='\(number % 250)' unit='\(number / 250)'/>"
                elements.append(
                    Workshop.disk(image, format: "raw", target: scsiName(number), bus: "scsi", body: address))
            }
            try await shop.define(elements + ["<controller type='scsi' index='0' model='virtio-scsi'/>"])
            let xml = try await shop.xml()
            let run = try await shop.virtFsck("repair", "--no-start")
            // In what is empty nothing could be damaged.
            #expect(run.exitStatus == 1, "\(run.exitStatus) \(run.errorOutput.suffix(500))")
            #expect(run.domain?.committed == true)
            for number in damaged { #expect(run.volume(scsiName(number))?.outcome == "repaired") }
            #expect(run.domain?.disks.flatMap(\.volumes).count == 300)
            try #expect(await shop.xml() == xml)
            for number in damaged { try #expect(await Filesystem.ext4.isSound("\(shop.disks)/\(number).img")) }
            print("300 disks: \(run.seconds) s")
        }
    }

    /// As Linux names SCSI disks: sda, …, sdz, sdaa, …
    private func scsiName(_ number: Int) -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        let last = String(letters[number % 26])
        return number < 26 ? "sd" + last : scsiName(number / 26 - 1) + last
    }

    @Test func `a path with a newline, which libvirt itself does not keep`() async throws {
        try await Workshop.with { shop in
            // libvirt writes the newline into its XML as it is, where every parser reads a space (XML 1.0, 3.3.3).
            let disk = "\(shop.disks)/new\nline.img"
            try await Filesystem.ext4.make(at: disk)
            try await shop.define([Workshop.disk(disk, format: "raw")])
            try await expectRefusal("vda", "No such file", in: shop)
        }
    }

    @Test func `a symlinked disk with a relative backing file`() async throws {
        try await Workshop.with { shop in
            for folder in ["link", "real"] {
                try FileManager.default.createDirectory(
                    atPath: "\(shop.disks)/\(folder)", withIntermediateDirectories: true)
            }
            let base = "\(shop.disks)/link/base.img"
            let real = "\(shop.disks)/real/disk.qcow2"
            let link = "\(shop.disks)/link/disk.qcow2"
            try await Filesystem.ext4.make(at: base)
            try await Filesystem.ext4.damage(base)
            // The name counts from where the link is, not from where it leads.
            try await Tool.output(
                of: "qemu-img",
                ["create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "base.img", real, "\(Filesystem.ext4.size)"])
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "../real/disk.qcow2")
            try await shop.define([Workshop.disk(link, format: "qcow2")])
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.committed == true)
            try #expect(await shop.state() == "running")
            let after = try await shop.snapshot()
            #expect(after["xml"] == before["xml"])
            try #expect(FileManager.default.destinationOfSymbolicLink(atPath: link) == "../real/disk.qcow2")
            let info = try await Tool.output(of: "qemu-img", ["info", "-U", "-f", "qcow2", real])
            #expect(info.contains("backing file: base.img"))
        }
    }

    // MARK: What is on the disk

    /// One byte makes the difference, wherever it is.
    @Test(arguments: [nil, 0, 1 << 20, (8 << 20) - 1])
    func `an empty disk`(_ byte: Int?) async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk.img"
            try DiskSet.createSparse(disk, size: 8 << 20)
            if let byte { try FileHandle.update(disk) { try $0.write([1], at: byte) } }
            try await shop.define([Workshop.disk(disk, format: "raw")])
            guard byte == nil else {
                try await expectNotChecked(["vda": "no filesystem signature"], in: shop)
                return
            }
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair")
            // Nothing was checked: that is not fine.
            #expect(run.exitStatus == 4, "\(run)")
            #expect(run.volume("vda")?.outcome == "skipped", "\(run)")
            #expect(run.volume("vda")?.message == "empty: every byte of it is zero")
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a raw disk that was truncated`() async throws {
        try await Workshop.with { shop in
            let mib = 1 << 20
            let set = try await DiskSet.makePartitioned(
                "label: dos\nstart=2048, size=16384, type=83\nstart=18432, size=16384, type=83\n", size: 17 * mib,
                volumes: [DiskSet.Volume(name: "vda1", offset: mib, size: 8 * mib)], in: shop.folder)
            let file = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: file)
            try set.embed(file, in: set.volumes[0])
            try FileHandle.update(set.paths[0]) { try $0.truncate(atOffset: UInt64(12 * mib)) }
            try await shop.defineImages(of: set, .raw)
            try await expectNotChecked(["vda2": "past the end of the disk"], clean: ["vda1"], in: shop)
        }
    }

    @Test func `partitions that overlap`() async throws {
        try await Workshop.with { shop in
            let mib = 1 << 20
            let set = try await DiskSet.makePartitioned(
                "label: dos\n2048, 16384, 83\n18432, 4096, 83\n22528, 16384, 83\n",
                size: 20 * mib, volumes: [DiskSet.Volume(name: "vda3", offset: 11 * mib, size: 8 * mib)],
                in: shop.folder)
            let file = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: file)
            try set.embed(file, in: set.volumes[0])
            // The second one begins in the first now; sfdisk would not write that.
            try FileHandle.update(set.paths[0]) { try $0.write([0, 0x10, 0, 0], at: 446 + 16 + 8) }
            try await shop.defineImages(of: set, .qcow2)
            try await expectNotChecked(
                ["vda1": "overlaps partition 2", "vda2": "overlaps partition 1"], clean: ["vda3"], in: shop)
        }
    }

    /// ext leaves the first sector to whoever wants it: a partition table there may be the disk's, or was before.
    @Test(arguments: [true, false])
    func `a filesystem beside a partition table is believed as long as it is whole`(_ isWhole: Bool) async throws {
        try await Workshop.with { shop in
            let disk = "\(shop.disks)/disk.img"
            try DiskSet.createSparse(disk, size: 48 << 20)
            try await Tool.output(of: "mke2fs", ["-q", "-F", "-t", "ext4", "-b", "1024", disk])
            let part = "\(shop.folder)/part"
            try await Filesystem.ext4.make(at: part)
            try await Filesystem.ext4.damage(part)
            let start = 16 << 20
            // An entry of type Linux, and the signature.
            var entry: [UInt8] = [0, 0, 0, 0, 0x83, 0, 0, 0]
            for number in [start / 512, (16 << 20) / 512] {
                for byte in 0..<4 { entry.append(UInt8(truncatingIfNeeded: number >> (8 * byte))) }
            }
            try FileHandle.read(part) { source in
                try FileHandle.update(disk) { file in
                    try file.write(try source.bytes(at: 0, count: 16 << 20), at: start)
                    try file.write(entry, at: 446)
                    try file.write([0x55, 0xAA], at: 510)
                    if !isWhole { try file.write([UInt8](repeating: 0, count: 1024), at: 8193 * 1024) }
                }
            }
            try await shop.define([Workshop.disk(disk, format: "raw")])
            let before = try await shop.snapshot()
            let run = try await shop.virtFsck("repair", "--no-start")
            #expect(run.volume("vda1")?.outcome == (isWhole ? "not-checked" : "repaired"), "\(run)")
            if isWhole {
                #expect(run.volume("vda1")?.message.contains("vda, which bears a filesystem itself (ext4") == true)
                try #expect(await shop.snapshot() == before)
            }
        }
    }

    @Test func `a volume with two signatures`() async throws {
        try await Workshop.with { shop in
            let file = "\(shop.disks)/disk.img"
            let other = "\(shop.folder)/other"
            try await Filesystem.ext4.make(at: file)
            try await Filesystem.ext4.damage(file)
            try await Filesystem.vfat.make(at: other)
            let boot = try FileHandle.read(other) { try $0.bytes(at: 0, count: 512) }
            try FileHandle.update(file) { try $0.write(boot, at: 0) }
            try await shop.define([Workshop.disk(file, format: "raw")])
            try await expectNotChecked(["vda": "signatures of"], in: shop)
        }
    }

    @Test func `LVM metadata that is damaged`() async throws {
        try await Workshop.with { shop in
            let set = try await lvmWithDamage(in: shop)
            // The metadata area follows the label; only the label is left.
            let garbage = (0..<(512 << 10)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try FileHandle.update(set.paths[0]) { try $0.write(garbage, at: 4096) }
            try await shop.defineImages(of: set, .qcow2)
            try await expectNotChecked(["vda": "LVM"], in: shop)
        }
    }

    @Test func `a volume group with a missing physical volume`() async throws {
        try await Workshop.with { shop in
            let set = try await DiskSet.make(.lvmTwoDisks, size: 8 << 20, in: shop.folder)
            var first = set
            first.paths = [set.paths[0]]
            try await shop.defineImages(of: first, .qcow2)
            try await expectNotChecked(["guest/root": "physical volume"], in: shop)
        }
    }

    @Test(arguments: TestHost.engines)
    func `LVM names that are made to confuse`(_ engine: String) async throws {
        try await Workshop.with { shop in
            let mib = 1 << 20
            let disk = "\(shop.folder)/disk0.raw"
            try DiskSet.createSparse(disk, size: 16 * mib)
            let set = try await DiskSet.lvm(
                [disk], [Loops.Region(file: disk, offset: 0, size: 16 * mib)],
                "lvm_ vgcreate my--vg.1-+ ${loops[0]}; create -L 8M -n root--fs.x-_+ my--vg.1-+")
            let file = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: file)
            try await Filesystem.ext4.damage(file)
            try set.embed(file, in: set.volumes[0])
            let images = try await shop.defineImages(of: set, .qcow2)
            let run = try await shop.virtFsck("repair", "--no-start", "--engine", engine)
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.volume("my--vg.1-+/root--fs.x-_+")?.outcome == "repaired")
            let after = try await shop.content(of: images, .qcow2, like: set)
            try await expectSameRepair(.ext4, set.volumes[0], before: set, after: after, in: shop)
        }
    }

    @Test func `a label that would steer the terminal`() async throws {
        try await Workshop.with { shop in
            let label = "\u{1B}[31m\u{7}\u{202E}x"
            try await shop.makeSimple(label: label)
            let text = try await VirtFsck.run(["check", "--verbose", shop.name])
            #expect(text.exitStatus == 4)
            for scalar in (text.output + text.errorOutput).unicodeScalars where scalar != "\n" {
                #expect(scalar.properties.generalCategory != .control)
                #expect(scalar.properties.generalCategory != .format)
            }
            let run = try await shop.virtFsck("check")
            #expect(!run.output.unicodeScalars.contains("\u{1B}"))
            #expect(run.volume("vda")?.label?.contains("31m") == true)
        }
    }

    // MARK: The host

    @Test func `no libvirtd`() async throws {
        try await Workshop.with { shop in
            let run = try await VirtFsck.run(
                ["--quiet", shop.name], connect: "qemu+unix:///system?socket=\(shop.folder)/nobody")
            expectOneLine(run, ["libvirt", "nobody", "is libvirtd running"])
        }
    }

    @Test func `a libvirtd that does not answer`() async throws {
        try await Workshop.with { shop in
            // Whoever connects gets through to the queue of the listener, and no word.
            let socket = try SilentSocket(at: "\(shop.folder)/silent")
            defer { socket.close() }
            let run = try await VirtFsck.run(
                ["--quiet", shop.name], connect: "qemu+unix:///system?socket=\(shop.folder)/silent")
            expectOneLine(run, ["libvirt", "no answer"])
            #expect(run.seconds < 25)
        }
    }

    @Test func `a connection to another machine`() async throws {
        // Only the name of the host is looked at: the connection is to the daemon here.
        try await Workshop.with { shop in
            let run = try await VirtFsck.run(
                ["--quiet", shop.name], connect: "qemu+ssh://nobody@host.invalid/system")
            #expect(run.exitStatus == 8, "\(run)")
            #expect(run.errorOutput.split(separator: "\n").count == 1, "\(run)")
        }
    }

    @Test func `no root rights`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let before = try await shop.snapshot()
            let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
            let run = try await VirtFsck.run(
                user, ["--quiet", "--connect", PrivateLibvirt.shared.uri, shop.name])
            #expect(run.exitStatus == 8, "\(run)")
            #expect(run.errorOutput.contains("must run as root"), "\(run)")
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test(arguments: [
        ("bwrap", "bubblewrap"), ("qemu-img", "qemu-utils"), ("qemu-storage-daemon", "qemu-system-common"),
        ("setpriv", "util-linux"), ("prlimit", "util-linux"), ("choom", "util-linux"),
    ])
    func `a missing program is named with its package`(_ program: String, _ package: String) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let before = try await shop.snapshot()
            let run = try await VirtFsck.run(
                try without(program), ["--quiet", "--connect", PrivateLibvirt.shared.uri, shop.name])
            expectOneLine(run, ["\(program): not found", "install \(package)"])
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `a missing checker is named with its package`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let before = try await shop.snapshot()
            let run = try await VirtFsck.run(
                try without("e2fsck"), ["--quiet", "--json", "--connect", PrivateLibvirt.shared.uri, shop.name])
            #expect(run.exitStatus == 4, "\(run)")
            #expect(run.volume("vda")?.outcome == "unsupported")
            #expect(run.volume("vda")?.message.contains("install e2fsprogs") == true)
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test(arguments: [
        [], ["--no-such-option", "x"], ["--engine", "magic", "x"], ["--start", "perhaps", "x"],
        ["--allow", "all", "x"],
        ["--no-start", "--start", "always", "x"], ["--scratch-dir", "relative", "x"],
        ["check", "--commit", "never", "x"],
    ])
    func `wrong usage is exit status 16`(_ arguments: [String]) async throws {
        let run = try await VirtFsck.run([], arguments)
        #expect(run.exitStatus == 16, "\(run)")
        #expect(run.output == "")
        #expect(run.errorOutput.lowercased().contains("usage:"), "\(run)")
    }

    @Test(arguments: ["/tmp/x", "/run", "/dev/shm/x"])
    func `a place for overlays that a reboot would empty`(_ folder: String) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            try await expectRefusal(
                folder, "reboot", "--scratch-dir", arguments: ["repair", "--scratch-dir", folder], in: shop)
        }
    }

    // MARK: Helpers

    /// Expects these volumes to be reported as not checked, with these words, and everything to stay as it was.
    private func expectNotChecked(
        _ words: [String: String], clean: [String] = [], in shop: Workshop,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let before = try await shop.snapshot()
        let run = try await shop.virtFsck("repair")
        #expect(run.exitStatus == 4, "\(run)", sourceLocation: sourceLocation)
        for (name, words) in words {
            #expect(run.volume(name)?.outcome == "not-checked", "\(name): \(run)", sourceLocation: sourceLocation)
            #expect(
                run.volume(name)?.message.contains(words) == true, "\(words): \(run)", sourceLocation: sourceLocation)
        }
        for name in clean { #expect(run.volume(name)?.outcome == "clean", "\(run)", sourceLocation: sourceLocation) }
        #expect(run.domain?.committed == false, sourceLocation: sourceLocation)
        if await (try shop.state()) == "shut off" {
            try #expect(await shop.snapshot() == before, sourceLocation: sourceLocation)
        }
    }

    private func lvmWithDamage(in shop: Workshop) async throws -> DiskSet {
        let set = try await DiskSet.make(.lvm, size: 8 << 20, in: shop.folder)
        let file = "\(shop.folder)/fs"
        try await Filesystem.ext4.make(at: file)
        try await Filesystem.ext4.damage(file)
        try set.embed(file, in: set.volumes[0])
        return set
    }

    /// What runs a program on a host where another one is missing.
    private func without(_ program: String) throws -> [String] {
        let path = try #require(Tool.path(of: program))
        let script = #"mount --bind /dev/null "$0" && exec "$@""#
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, path]
    }
}

/// A Unix socket that takes connections and says nothing.
private struct SilentSocket {
    private let descriptor: Int32

    init(at path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0 && listen(descriptor, 16) == 0)
    }

    func close() { Glibc.close(descriptor) }
}
