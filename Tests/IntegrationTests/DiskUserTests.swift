import Foundation
import Glibc
import TestSupport
import Testing

/// A disk whose bytes somebody else uses is refused, whoever it is and by whatever road.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct DiskUserTests {
    /// How the host uses a disk.
    enum HostUse: String, CaseIterable, Sendable {
        case loopDevice, partOfLoopDevice, mount, mountOfPartition, mountInOtherNamespace, mountedBlockDevice,
            claimedDevice, writer
    }

    @Test(arguments: HostUse.allCases)
    func `a disk that the host itself uses`(_ use: HostUse) async throws {
        try await Workshop.with { shop in
            let image = "\(shop.disks)/disk.img"
            let filesystem = "\(shop.folder)/fs"
            let place = "\(shop.folder)/mounted"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            try await Filesystem.ext4.make(at: filesystem)
            try await Filesystem.ext4.damage(filesystem)
            let set = try await DiskSet.make(.mbrPrimary, size: Filesystem.ext4.size, in: shop.folder)
            let isPartitioned = use == .mountOfPartition || use == .partOfLoopDevice
            if isPartitioned {
                try set.embed(filesystem, in: set.volumes[0])
                try await Storage.raw.make(image, from: set.paths[0], over: nil)
            } else {
                try await Storage.raw.make(image, from: filesystem, over: nil)
            }
            let offset = isPartitioned ? "\(1 << 20)" : "0"
            let loop = try await Tool.output(of: "losetup", ["--find", "--show", "--offset", offset, image])
                .trimmingCharacters(in: .whitespacesAndNewlines)
            var holder: Process?
            defer {
                if let holder { kill(holder.processIdentifier, SIGKILL) }
                holder?.waitUntilExit()
            }
            let words: [String]
            // Another test's namespace that was made meanwhile would have a copy of a mount in ours, and keep it.
            let mounting = [
                "unshare", "--mount", "--propagation", "private", "sh", "-c",
                #"mount -o ro,noload "$0" "$1" && echo held && exec sleep 3600"#, loop, place,
            ]
            switch use {
            case .loopDevice, .partOfLoopDevice:
                words = [loop, "losetup --detach \(loop)"]
            case .mount, .mountOfPartition, .mountedBlockDevice:
                holder = try await Self.hold(mounting)
                words = ["\(loop) is mounted on \(place)", "end that first: umount \(place)"]
            case .mountInOtherNamespace:
                holder = try await Self.hold(mounting)
                words = [loop, "mounted on \(place) in another mount namespace", "nsenter --mount --target"]
            case .claimedDevice:
                holder = try await Self.hold([
                    "python3", "-c",
                    "import os, sys, time; d = os.open(sys.argv[1], os.O_RDONLY | os.O_EXCL); print('held', flush=True); "
                        + "time.sleep(3600)", loop,
                ])
                words = ["somebody has \(loop) for himself"]
            case .writer:
                try await Tool.output(of: "losetup", ["--detach", loop])
                holder = try await Self.hold([
                    "python3", "-c",
                    "import sys, time; d = open(sys.argv[1], 'r+b'); print('held', flush=True); time.sleep(3600)",
                    image,
                ])
                words = ["process \(holder?.processIdentifier ?? 0) (python3) has it open for writing"]
            }
            let isBlock = use == .mountedBlockDevice || use == .claimedDevice
            let inside = ["nsenter", "--mount", "--target", "\(holder?.processIdentifier ?? 0)"]
            let isOurs = [.mount, .mountOfPartition, .mountedBlockDevice].contains(use)
            try await shop.define([isBlock ? Self.block(loop) : Workshop.disk(image, format: "raw")])
            for verb in ["check", "repair"] {
                let before = try await shop.snapshot()
                let run = try await VirtFsck.run(
                    isOurs ? inside : [],
                    [verb, "--quiet", shop.name, "--connect", PrivateLibvirt.shared.uri])
                #expect(run.exitStatus == 8, "\(run)")
                for word in words + ["is in use on this host"] {
                    #expect(run.errorOutput.contains(word), "\(word) is not in: \(run)")
                }
                try #expect(await shop.snapshot() == before)
            }
            if isOurs || use == .mountInOtherNamespace {
                try await Tool.output(of: inside[0], inside.dropFirst() + ["umount", place])
            }
            if let holder { kill(holder.processIdentifier, SIGKILL) }
            holder?.waitUntilExit()
            guard isBlock else {
                // With its users gone it is a disk as any other.
                if use != .writer { try await Tool.output(of: "losetup", ["--detach", loop]) }
                try await shop.expectRepaired()
                return
            }
            try await shop.expectRepaired()
            try await Tool.output(of: "losetup", ["--detach", loop])
        }
    }

    /// What a disk can be to another domain.
    enum Role: String, CaseIterable, Sendable {
        case loopDevice, partOfIt, floppy, cdrom, kernel, initrd, nvram, commandLine, volumeOfInactivePool, dataFile,
            jsonName
        case snapshotMemory, nextStart, managedSave, jsonNameWithOffset, nameFarBehind
    }

    @Test(arguments: Role.allCases)
    func `a disk that another domain uses, whatever for`(_ role: Role) async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            let image = made.image
            let plain = "\(shop.folder)/plain.img"
            try DiskSet.createSparse(plain, size: 1 << 20)
            var loop: String?
            switch role {
            case .loopDevice, .partOfIt:
                let arguments = ["--find", "--show"] + (role == .partOfIt ? ["--offset", "1048576"] : []) + [image]
                let device = try await Tool.output(of: "losetup", arguments)
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                loop = device
                try await shop.define([Self.block(device)], suffix: "-other")
            case .floppy:
                try await shop.define(
                    [Workshop.disk(image, format: "raw", target: "fda", device: "floppy", bus: "fdc")], suffix: "-other"
                )
            case .cdrom:
                try await shop.define(
                    [Workshop.disk(image, format: "raw", target: "hda", device: "cdrom", bus: "ide")], suffix: "-other")
            case .kernel: try await shop.define(os: "<kernel>\(image)</kernel>", suffix: "-other")
            case .initrd:
                try await shop.define(os: "<kernel>\(plain)</kernel><initrd>\(image)</initrd>", suffix: "-other")
            case .nvram:
                try await shop.define(
                    os: "<loader readonly='yes' type='pflash'>\(plain)</loader><nvram>\(image)</nvram>",
                    suffix: "-other")
            case .commandLine:
                try await shop.define(
                    os: "", suffix: "-other",
                    tail: "<qemu:commandline><qemu:arg value='-drive'/>"
                        + "<qemu:arg value='file=\(image),format=raw,if=none,id=x'/></qemu:commandline>")
            case .volumeOfInactivePool:
                let pool = "\(shop.folder)/pool.xml"
                try "<pool type='dir'><name>\(shop.name)</name><target><path>\(shop.disks)</path></target></pool>"
                    .write(
                        toFile: pool, atomically: true, encoding: .utf8)
                try await PrivateLibvirt.shared.virsh("pool-define", pool)
                try await shop.define(
                    [
                        "<disk type='volume' device='disk'><driver name='qemu' type='raw'/><source pool='\(shop.name)' "
                            + "volume='\(URL(filePath: image).lastPathComponent)'/><target dev='vda' bus='virtio'/></disk>"
                    ], suffix: "-other")
            case .dataFile:
                let top = "\(shop.folder)/top.qcow2"
                let copy = "\(shop.folder)/copy"
                try await Tool.output(of: "cp", [image, copy])
                try await Tool.output(
                    of: "qemu-img",
                    ["create", "-q", "-f", "qcow2", "-o", "data_file=\(image),data_file_raw=on", top, "8M"])
                try await Tool.output(of: "cp", [copy, image])
                try await shop.define([Workshop.disk(top, format: "qcow2")], suffix: "-other")
            case .jsonNameWithOffset, .nameFarBehind:
                let top = "\(shop.folder)/top.qcow2"
                let node = #"{"driver":"raw","offset":0,"file":{"driver":"file","filename":"\#(image)"}}"#
                let isFar = role == .nameFarBehind
                try await Tool.output(
                    of: "qemu-img",
                    ["create", "-q", "-f", "qcow2", "-u", "-b", isFar ? image : "json:\(node)", "-F", "raw"]
                        + (isFar ? ["-o", "cluster_size=2M"] : []) + [top, "8M"])
                if isFar { try Self.moveName(in: top) }
                try await shop.define([Workshop.disk(top, format: "qcow2")], suffix: "-other")
            case .managedSave:
                try await shop.define([Workshop.disk(image, format: "raw")], suffix: "-other")
                try await PrivateLibvirt.shared.virsh("start", "\(shop.name)-other")
                try await PrivateLibvirt.shared.virsh("managedsave", "\(shop.name)-other")
                let uuid = try await PrivateLibvirt.shared.virsh("domuuid", "\(shop.name)-other").split(
                    separator: "\n")[0]
                try await shop.define(
                    [Workshop.disk(plain, format: "raw")], suffix: "-other", extra: "<uuid>\(uuid)</uuid>")
            case .jsonName:
                let top = "\(shop.folder)/top.qcow2"
                let name = #"json:{"driver":"raw","file":{"driver":"file","filename":"\#(image)"}}"#
                try await Tool.output(
                    of: "qemu-img", ["create", "-q", "-f", "qcow2", "-u", "-b", name, "-F", "raw", top, "8M"])
                try await shop.define([Workshop.disk(top, format: "qcow2")], suffix: "-other")
            case .snapshotMemory:
                try await shop.define([Workshop.disk(plain, format: "raw")], suffix: "-other")
                let snapshot = "\(shop.folder)/snapshot.xml"
                try """
                <domainsnapshot><name>s</name><state>running</state><creationTime>1700000000</creationTime>
                <memory snapshot='external' file='\(image)'/><disks><disk name='vda' snapshot='no'/></disks>
                \(await PrivateLibvirt.shared.virsh("dumpxml", "\(shop.name)-other"))</domainsnapshot>
                """.write(toFile: snapshot, atomically: true, encoding: .utf8)
                try await PrivateLibvirt.shared.virsh("snapshot-create", "\(shop.name)-other", snapshot, "--redefine")
            case .nextStart:
                try await shop.define([Workshop.disk(plain, format: "raw")], suffix: "-other")
                try await PrivateLibvirt.shared.virsh("start", "\(shop.name)-other")
                let uuid = try await PrivateLibvirt.shared.virsh("domuuid", "\(shop.name)-other").split(
                    separator: "\n")[0]
                try await shop.define(
                    [Workshop.disk(image, format: "raw")], suffix: "-other", extra: "<uuid>\(uuid)</uuid>")
            }
            for verb in ["check", "repair"] {
                let before = try await shop.snapshot()
                let run = try await VirtFsck.run([verb, "--quiet", shop.name])
                #expect(run.exitStatus == 8, "\(run)")
                #expect(run.errorOutput.contains("\(image) is used by \(shop.name)-other ("), "\(run)")
                try #expect(await shop.snapshot() == before)
            }
            if let loop { try await Tool.output(of: "losetup", ["--detach", loop]) }
            switch role {
            case .volumeOfInactivePool: try await PrivateLibvirt.shared.virsh("pool-undefine", shop.name)
            case .managedSave:
                try await PrivateLibvirt.shared.virsh("managedsave-remove", "\(shop.name)-other")
            case .snapshotMemory:
                try await PrivateLibvirt.shared.virsh("snapshot-delete", "\(shop.name)-other", "s", "--metadata")
            case .nvram: try await PrivateLibvirt.shared.virsh("undefine", "\(shop.name)-other", "--keep-nvram")
            default: break
            }
        }
    }

    @Test func `a layer below that somebody changes`() async throws {
        try await Workshop.with { shop in
            let base = "\(shop.disks)/base.img"
            try await Filesystem.ext4.make(at: base)
            try await Tool.output(of: "cp", ["--sparse=always", base, "\(base).good"])
            try await Filesystem.ext4.damage(base)
            let clone = "\(shop.disks)/clone.qcow2"
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", clone])
            try await shop.define([Workshop.disk(clone, format: "qcow2")])
            for options in [[], ["--read-only"]] {
                let loop = try await Tool.output(of: "losetup", ["--find", "--show"] + options + [base])
                    .trimmingCharacters(in: .whitespacesAndNewlines)
                let before = try await shop.snapshot()
                let run = try await VirtFsck.run(["check", "--quiet", shop.name])
                // Who reads it does no harm.
                #expect(run.exitStatus == (options.isEmpty ? 8 : 4), "\(run)")
                if options.isEmpty {
                    #expect(run.errorOutput.contains("\(base) is in use on this host: \(loop)"), "\(run)")
                }
                try #expect(await shop.snapshot() == before)
                try await Tool.output(of: "losetup", ["--detach", loop])
            }
            let run = try await HeldRun.during(arguments(shop.name), on: shop.name, in: shop.folder) { held in
                try await Tool.output(of: "mv", ["\(base).good", base])
                held.goOn()
                return try await held.run.value
            }
            #expect(run.exitStatus == 8, "\(run)")
            #expect(
                run.domain?.message.contains("somebody wrote to \(base), which lies below \(clone)") == true, "\(run)")
            #expect(run.domain?.committed == false)
        }
    }

    @Test func `what others only read, and what the domain once was, is no second use`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .qcow2)
            try await PrivateLibvirt.shared.virsh("snapshot-create-as", shop.name, "s")
            let seed = "\(shop.disks)/seed.img"
            try await Filesystem.ext4.make(at: seed)
            let shared = Workshop.disk(seed, format: "raw", target: "vdb", body: "<readonly/>")
            let uuid = try await PrivateLibvirt.shared.virsh("domuuid", shop.name).split(separator: "\n")[0]
            try await shop.define(
                [Workshop.disk(made.image, format: "qcow2", target: "sda", bus: "sata"), shared],
                extra: "<uuid>\(uuid)</uuid>")
            try await shop.define([shared], suffix: "-other")
            let run = try await shop.virtFsck("repair", "--no-start")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.volume("sda")?.outcome == "repaired", "\(run)")
            #expect(run.volume("vdb")?.outcome == "clean", "\(run)")
            try await PrivateLibvirt.shared.virsh("snapshot-delete", shop.name, "s", "--metadata")
        }
    }

    @Test func `a domain's snapshot is no other user of its disk`() async throws {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .qcow2)
            try await PrivateLibvirt.shared.virsh(
                "snapshot-create-as", shop.name, "s", "--disk-only", "--diskspec", "vda,file=\(shop.disks)/over.qcow2")
            let run = try await shop.virtFsck("check")
            #expect(run.exitStatus == 4, "\(made) \(run)")
            #expect(run.volume("vda")?.outcome == "repairable", "\(run)")
            try await PrivateLibvirt.shared.virsh("snapshot-delete", shop.name, "s", "--metadata")
        }
    }

    @Test func `two partitions of one disk are two disks, and so are two of its logical volumes' regions`() async throws
    {
        try await Workshop.with { shop in
            let disk = "\(shop.folder)/whole"
            try DiskSet.createSparse(disk, size: 64 << 20)
            let filesystem = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: filesystem)
            try await Filesystem.ext4.damage(filesystem)
            try await Tool.output(of: "dd", ["if=\(filesystem)", "of=\(disk)", "bs=1M", "seek=1", "conv=notrunc"])
            var loops: [String] = []
            for offset in [1, 32] {
                loops.append(
                    try await Tool.output(
                        of: "losetup",
                        ["--find", "--show", "--offset", "\(offset << 20)", "--sizelimit", "\(8 << 20)", disk]
                    ).trimmingCharacters(in: .whitespacesAndNewlines))
            }
            try await shop.define([Self.block(loops[0])])
            try await shop.define([Self.block(loops[1])], suffix: "-other")
            try await shop.expectRepaired()
            for loop in loops { try await Tool.output(of: "losetup", ["--detach", loop]) }
        }
    }

    @Test func `somebody who comes to use a disk while it is repaired has it as it was, and the verdict is kept`()
        async throws
    {
        try await Workshop.with { shop in
            let made = try await shop.makeSimple(.ext4, .raw)
            let before = try await shop.snapshot()
            let run = try await HeldRun.during(arguments(shop.name), on: shop.name, in: shop.folder) { held in
                try await shop.define(
                    [Workshop.disk(made.image, format: "raw", target: "hda", device: "cdrom", bus: "ide")],
                    suffix: "-other")
                held.goOn()
                return try await held.run.value
            }
            #expect(run.exitStatus == 8, "\(run)")
            #expect(run.domain?.outcome == "refused", "\(run)")
            #expect(run.domain?.message.contains("used by \(shop.name)-other (hda)") == true, "\(run)")
            #expect(run.volume("vda")?.outcome == "repairable", "\(run)")
            #expect(run.domain?.committed == false)
            try #expect(await shop.snapshot() == before)
        }
    }

    /// Moves the name of the layer below behind the first 64 KiB of a qcow2 header: its first cluster is 2 MiB.
    private static func moveName(in image: String) throws {
        try FileHandle.update(image) { file in
            let header = try file.bytes(at: 0, count: 32)
            let offset = header[8..<16].reduce(0) { $0 << 8 | Int($1) }
            let length = header[16..<20].reduce(0) { $0 << 8 | Int($1) }
            let name = try file.bytes(at: offset, count: length)
            let place = 1 << 20
            try file.write(name, at: place)
            try file.write((0..<8).reversed().map { UInt8(truncatingIfNeeded: place >> ($0 * 8)) }, at: 8)
        }
    }

    private static func block(_ device: String) -> String {
        "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='\(device)'/>"
            + "<target dev='vda' bus='virtio'/></disk>"
    }

    /// A process that says when it holds what it shall hold.
    private static func hold(_ words: [String]) async throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = words
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let said = pipe.fileHandleForReading.availableData
        guard String(decoding: said, as: UTF8.self).hasPrefix("held") else {
            throw ToolError(description: "\(words.joined(separator: " ")): does not hold it")
        }
        return process
    }
}

extension Workshop {
    /// Repairs the domain, and expects that all went well.
    func expectRepaired(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let run = try await virtFsck("repair", "--no-start")
        #expect(run.exitStatus == 1, "\(run)", sourceLocation: sourceLocation)
        #expect(run.domain?.outcome == "repaired", "\(run)", sourceLocation: sourceLocation)
    }

    /// Gives the domain other disks.
    func redefine(_ disks: [String]) async throws {
        try await PrivateLibvirt.shared.virsh("undefine", name)
        try await define(disks)
    }

    /// Defines a domain without disks, by what its `<os>` and its end say.
    fileprivate func define(os: String, suffix: String, tail: String = "") async throws {
        let file = "\(folder)/domain\(suffix).xml"
        try """
        <domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>\(name)\(suffix)</name>
        <memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type>\(os)</os><features><acpi/></features>
        <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/>
        <memballoon model='none'/></devices>\(tail)</domain>
        """.write(toFile: file, atomically: true, encoding: .utf8)
        try await PrivateLibvirt.shared.virsh("define", file)
    }
}
