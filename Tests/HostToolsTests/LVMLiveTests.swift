import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

private let runner = HostCommandRunner()
private let canUseLVM =
    getuid() == 0 && access("/dev/loop-control", F_OK) == 0
    && ["lvm", "bwrap"].allSatisfy { runner.path(of: $0) != nil }

/// Against the lvm of this machine, on loop devices, without device-mapper.
@Suite(.enabled(if: canUseLVM, "needs root, loop devices and lvm2"), .serialized, .timeLimit(.minutes(40)))
struct LVMLiveTests {
    private let lvm: LVM
    private let folder: NodeFolder

    init() throws {
        folder = try NodeFolder()
        lvm = LVM(runner: runner, sandbox: Sandbox(.bubblewrap), folder: folder.path)
    }

    @Test(arguments: [Sandbox.Kind.bubblewrap, .privilegesOnly])
    func `what lvm says behind its walls is what it says to root`(kind: Sandbox.Kind) async throws {
        try await withDisks(3) { disks in
            try await make(
                disks,
                [
                    ["vgcreate", "guest-vg"] + disks.prefix(2).map(\.path),
                    ["lvcreate", "-L", "12M", "-n", "root", "guest-vg"],
                    ["lvcreate", "-i2", "-I64k", "-L", "16M", "-n", "stripe", "guest-vg"],
                    ["vgcreate", "other", disks[2].path],
                    ["lvcreate", "-L", "4M", "-n", "data", "other"],
                ])
            try await expectSameReport(disks, kind)
            // Damaged: of the first group only one volume can be read, and the other group has no metadata.
            try disks[1].write([UInt8](repeating: 0, count: 64 << 10))
            try disks[2].write([UInt8](repeating: 0xA5, count: 64 << 10), at: 4096)
            try await expectSameReport(disks, kind)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    }

    private func expectSameReport(_ disks: [Disk], _ kind: Sandbox.Kind) async throws {
        let walled = LVM(runner: runner, sandbox: Sandbox(kind), folder: folder.path)
        let root = LVM(runner: UnconfinedRunner(), sandbox: Sandbox(.privilegesOnly), folder: folder.path)
        let report = try await walled.report(devices: disks.map(\.path))
        #expect(try await root.report(devices: disks.map(\.path)) == report)
        #expect(report.volumeGroups.contains { $0.name == "guest-vg" })
    }

    @Test func `lvm sees nothing but the devices it is shown`() async throws {
        try await withDisks(2) { disks in
            for (index, disk) in disks.enumerated() { try await make([disk], [["vgcreate", "vg\(index)", disk.path]]) }
            let report = try await lvm.report(devices: [disks[1].path])
            #expect(report.volumeGroups.map(\.name) == ["vg1"])
            #expect(report.warnings == [])
        }
    }

    @Test func `volumes over two disks are found, and nothing is written`() async throws {
        try await withDisks(2) { disks in
            try await make(
                disks,
                [
                    ["vgcreate", "guest-vg"] + disks.map(\.path),
                    ["lvcreate", "-L", "8M", "-n", "root", "guest-vg", disks[0].path],
                    ["lvcreate", "-L", "8M", "-n", "home-dir", "guest-vg", disks[0].path],
                    ["lvextend", "-L", "+4M", "guest-vg/root", disks[1].path],
                    ["lvcreate", "-i2", "-I64k", "-L", "16M", "-n", "stripe", "guest-vg"],
                ])
            let before = try disks.map { try $0.content() }
            let report = try await lvm.report(devices: disks.map(\.path))
            #expect(try disks.map { try $0.content() } == before)
            #expect(report.isComplete)
            #expect(report.warnings == [])
            let group = try #require(report.volumeGroups.first)
            #expect(report.volumeGroups.count == 1)
            #expect(group.name == "guest-vg")
            #expect(group.physicalVolumes.map(\.device) == disks.map(\.path))
            #expect(group.logicalVolumes.map(\.name) == ["home-dir", "root", "stripe"])
            #expect(group.logicalVolumes.allSatisfy { $0.kind == .plain && $0.defect == nil })
            #expect(group.logicalVolumes[1].segments.count == 2)
            #expect(group.logicalVolumes[1].size == 12 << 20)
            #expect(group.logicalVolumes[2].segments.first?.areas.count == 2)
            #expect(group.logicalVolumes[2].segments.first?.stripeSize == 64 << 10)
        }
    }

    @Test func `the extents that are reported hold the volume's bytes`() async throws {
        try await withDisks(1) { disks in
            try await make(
                disks,
                [
                    ["vgcreate", "vg0", disks[0].path], ["lvcreate", "-L", "4M", "-n", "first", "vg0"],
                    ["lvcreate", "-L", "4M", "-n", "second", "vg0"],
                ])
            let group = try #require(try await lvm.report(devices: [disks[0].path]).volumeGroups.first)
            let second = try #require(group.logicalVolumes.last)
            // vgcreate aligns data to 1 MiB; "first" takes one extent of 4 MiB.
            #expect(second.segments.map(\.areas) == [[.physicalVolume(index: 0, offset: 5 << 20)]])
        }
    }

    @Test func `private nodes in a folder of their own are reported under their own names`() async throws {
        try await withDisks(1) { disks in
            try await make(disks, [["vgcreate", "vg0", disks[0].path]])
            let folder = "/dev/virt-fsck-test-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let node = try DeviceNode.create(at: folder + "/pv0", for: disks[0].loop.deviceNumber)
            let report = try await lvm.report(devices: [node.path])
            #expect(report.volumeGroups.first?.physicalVolumes.first?.device == node.path)
            try node.remove()
        }
    }

    @Test func `a missing disk leaves the group partial`() async throws {
        try await withDisks(2) { disks in
            try await make(
                disks,
                [
                    ["vgcreate", "vg0"] + disks.map(\.path),
                    ["lvcreate", "-L", "4M", "-n", "here", "vg0", disks[0].path],
                    ["lvcreate", "-L", "4M", "-n", "gone", "vg0", disks[1].path],
                ])
            let group = try #require(try await lvm.report(devices: [disks[0].path]).volumeGroups.first)
            #expect(group.isPartial)
            #expect(group.missingPhysicalVolumes == 1)
            #expect(group.physicalVolumes.map(\.device) == [disks[0].path, nil])
            #expect(group.logicalVolumes.map(\.defect) == [.missingPhysicalVolume, nil])
        }
    }

    @Test func `two groups of the same name are told apart`() async throws {
        try await withDisks(2) { disks in
            for disk in disks {
                try await make(
                    [disk], [["vgcreate", "vg0", disk.path], ["lvcreate", "-L", "4M", "-n", "root", "vg0"]])
            }
            let report = try await lvm.report(devices: disks.map(\.path))
            #expect(report.volumeGroups.map(\.name) == ["vg0", "vg0"])
            #expect(Set(report.volumeGroups.map(\.uuid)).count == 2)
            #expect(Set(report.volumeGroups.flatMap(\.physicalVolumes).compactMap(\.device)) == Set(disks.map(\.path)))
        }
    }

    @Test func `a clone makes the group ambiguous`() async throws {
        try await withDisks(2) { disks in
            try await make([disks[0]], [["vgcreate", "vg0", disks[0].path]])
            try disks[1].write(try disks[0].content())
            let report = try await lvm.report(devices: disks.map(\.path))
            let group = try #require(report.volumeGroups.first)
            #expect(group.isAmbiguous)
            let volume = try #require(group.physicalVolumes.first)
            #expect(Set([volume.device] + volume.otherDevices) == Set(disks.map(\.path)))
            #expect(report.devicesWithoutVolume == [])
            // One at a time is the way out.
            #expect(try await lvm.report(devices: [disks[1].path]).volumeGroups.first?.isAmbiguous == false)
        }
    }

    @Test func `damaged metadata leaves a physical volume without group`() async throws {
        try await withDisks(1) { disks in
            try await make(disks, [["vgcreate", "vg0", disks[0].path]])
            try disks[0].write([UInt8](repeating: 0xA5, count: 64 << 10), at: 4096)
            let report = try await lvm.report(devices: [disks[0].path])
            #expect(report.volumeGroups.isEmpty)
            #expect(report.unassignedPhysicalVolumes.map(\.device) == [disks[0].path])
            #expect(report.unassignedPhysicalVolumes.map(\.isInUse) == [true])
            #expect(!report.warnings.isEmpty)
        }
    }

    @Test func `an empty disk and one without group are told apart`() async throws {
        try await withDisks(2) { disks in
            try await make([disks[0]], [["pvcreate", disks[0].path]])
            let report = try await lvm.report(devices: disks.map(\.path))
            #expect(report.volumeGroups.isEmpty)
            #expect(report.unassignedPhysicalVolumes.map(\.device) == [disks[0].path])
            #expect(report.unassignedPhysicalVolumes.map(\.isInUse) == [false])
            #expect(report.devicesWithoutVolume == [disks[1].path])
        }
    }

    @Test func `a group of another host is shown`() async throws {
        try await withDisks(1) { disks in
            try await make(
                disks, [["vgcreate", "vg0", disks[0].path], ["vgchange", "--yes", "--systemid", "guest", "vg0"]])
            let group = try #require(try await lvm.report(devices: [disks[0].path]).volumeGroups.first)
            #expect(group.systemID == "guest")
            #expect(group.physicalVolumes.count == 1)
        }
    }

    @Test func `an exported group says so`() async throws {
        try await withDisks(1) { disks in
            try await make(disks, [["vgcreate", "vg0", disks[0].path], ["vgexport", "vg0"]])
            #expect(try await lvm.report(devices: [disks[0].path]).volumeGroups.first?.isExported == true)
        }
    }

    @Test(
        arguments: [
            // lvm gives the group up, with what is in it.
            (#"stripes = ["pv0", 0]"#, #"stripes = ["pv0", 900000]"#, .unreadable),
            ("start_extent = 0", "start_extent = 5", .unreadable),
            // lvm believes it.
            ("extent_size = 8192", "extent_size = 4294967295", .defect(.pastEndOfDevice)),
            ("extent_size = 8192", "extent_size = 0", .defect(.segmentsDoNotFit)),
            ("\nroot {", "\n\"ro\\\"ot,x(3)\" {", .volume(#"ro"ot,x(3)"#)),
            ("\nroot {", "\nro-ot--x..+_ {", .volume("ro-ot--x..+_")),
            ("\nroot {", "\n\"ro\u{1B}[31mot\" {", .volume("ro [31mot")),
            ("flags = []\nextent", "system_id = \"a\u{1}\\\"{}[]\"\nflags = []\nextent", .volume("root")),
            // A quote behind a backslash ends lvm's JSON string: whatever follows is the guest's.
            ("flags = []\nextent", #"system_id = "a\\\", \"pv\":[1], \"x"# + "\"\nflags = []\nextent", .error),
        ] as [(String, String, Hostile)])
    func `metadata made by an enemy can only be wrong about itself`(
        from: String, into: String, outcome: Hostile
    ) async throws {
        try await withDisks(1) { disks in
            try await make(
                disks, [["vgcreate", "vg0", disks[0].path], ["lvcreate", "-L", "8M", "-n", "root", "vg0"]])
            try disks[0].rewriteMetadata { text in
                let compact = text.split(whereSeparator: \.isNewline).map { $0.drop { $0 == "\t" } }
                    .joined(separator: "\n").replacing("stripes = [\n\"pv0\", 0\n]", with: #"stripes = ["pv0", 0]"#)
                    .replacing(#"format = "lvm2"\nstatus"#, with: "status")
                let result = compact.replacing(from, with: into)
                #expect(result != compact)
                return result
            }
            if outcome == .error {
                await #expect(throws: LVMError.self) { try await lvm.report(devices: [disks[0].path]) }
                return
            }
            let report = try await lvm.report(devices: [disks[0].path])
            switch outcome {
            case .unreadable:
                #expect(report.volumeGroups.isEmpty)
                #expect(report.unreadableDevices == [disks[0].path])
            case .defect(let defect): #expect(report.volumeGroups.first?.logicalVolumes.map(\.defect) == [defect])
            case .volume(let name): #expect(report.volumeGroups.first?.logicalVolumes.map(\.name) == [name])
            case .error: break
            }
        }
    }

    /// Runs lvm commands that set something up, limited to `disks`.
    private func make(_ disks: [Disk], _ commands: [[String]]) async throws {
        let configuration = """
            devices { scan=["/dev"] hints="none" use_devicesfile=0 } backup { backup=0 archive=0 } \
            activation { monitoring=0 udev_sync=0 udev_rules=0 } global { use_lvmpolld=0 event_activation=0 }
            """
        let common = [
            "--driverloaded", "n", "--nolocking", "--devices", disks.map(\.path).joined(separator: ","), "--config",
            configuration,
        ]
        for command in commands {
            let extra = command.first == "lvcreate" ? ["-an", "-Zn", "-Wn", "-y"] : []
            try await runner.output(of: Command("lvm", [command[0]] + common + extra + command.dropFirst()))
        }
    }
}

enum Hostile: Hashable, Sendable {
    case unreadable
    case defect(LogicalVolume.Defect)
    case volume(String)
    case error
}

/// Takes the sandbox away: what is behind setpriv's arguments runs as root.
private struct UnconfinedRunner: CommandRunner {
    func path(of program: String) -> String? { runner.path(of: program) }

    func run(_ command: Command) async throws(CommandError) -> CommandResult {
        let words = command.arguments.split(separator: "--").last ?? []
        return try await runner.run(Command(words.first ?? "", Array(words.dropFirst())))
    }

    func run(_ command: Command, log: FileDescriptor) async throws(CommandError) -> CommandResult {
        try await run(command)
    }
}

/// A folder that takes device nodes.
private final class NodeFolder: Sendable {
    let path = "/dev/virt-fsck-test-\(UUID().uuidString)"

    init() throws { try Files.makeFolder(path, mode: 0o711) }

    deinit { try? Files.removeFolder(path) }
}

/// A loop device over a file of zeros.
private struct Disk {
    let loop: LoopDevice
    var path: String { loop.path }

    func content() throws -> [UInt8] {
        let file = try FileDescriptor.open(path, .readOnly)
        defer { try? file.close() }
        var bytes = [UInt8](repeating: 0, count: Int(try file.seek(offset: 0, from: .end)))
        let count = try bytes.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: 0, into: $0) }
        #expect(count == bytes.count)
        return bytes
    }

    func write(_ bytes: [UInt8], at offset: Int64 = 0) throws {
        let file = try FileDescriptor.open(path, .readWrite)
        defer { try? file.close() }
        try file.writeAll(toAbsoluteOffset: offset, bytes)
        try loop.sync()
    }
}

extension Disk {
    /// Replaces the metadata text of the only metadata area (lib/format_text/layout.h of LVM2), with checksums that are
    /// right.
    fileprivate func rewriteMetadata(_ change: (String) -> String) throws {
        var header = Array(try content()[4096..<(4096 + 512)])
        let offset = header.number(at: 40)
        let size = header.number(at: 48)
        let old = try content()[(4096 + offset)..<(4096 + offset + size)]
        let new = Array(change(String(decoding: old.filter { $0 != 0 }, as: UTF8.self)).utf8) + [0]
        let place = 16384
        header.replaceSubrange(
            40..<64,
            with: [UInt8](number: place, count: 8) + [UInt8](number: new.count, count: 8)
                + [UInt8](number: Int(checksum(new)), count: 4) + [0, 0, 0, 0])
        header.replaceSubrange(0..<4, with: [UInt8](number: Int(checksum(Array(header[4...]))), count: 4))
        try write(new, at: Int64(4096 + place))
        try write(header, at: 4096)
    }
}

/// LVM's CRC: that of zlib with another start and no final inversion (lib/misc/crc.c).
private func checksum(_ bytes: [UInt8]) -> UInt32 {
    bytes.reduce(0xF597_A6CF as UInt32) { crc, byte in
        (0..<8).reduce(crc ^ UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
}

extension [UInt8] {
    fileprivate init(number: Int, count: Int) {
        self = (0..<count).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }

    fileprivate func number(at index: Int) -> Int {
        self[index..<(index + 8)].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
}

private func withDisks(_ count: Int, _ body: ([Disk]) async throws -> Void) async throws {
    var disks: [Disk] = []
    for _ in 0..<count {
        let path = NSTemporaryDirectory() + "virt-fsck-lvm-\(UUID().uuidString).img"
        let file = try FileDescriptor.open(
            path, .readWrite, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
        defer {
            try? file.close()
            unlink(path)
        }
        try file.resize(to: 32 << 20)
        disks.append(Disk(loop: try LoopDevice.attach(file)))
    }
    do {
        try await body(disks)
    } catch {
        Issue.record(error)
    }
    for disk in disks { try disk.loop.detach() }
}
