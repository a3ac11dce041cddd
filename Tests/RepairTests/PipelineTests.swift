import Foundation
import Glibc
import HostTools
import Libvirt
import SystemPackage
import Testing

@testable import Repair

/// A host of one test: libvirt's test driver on a file, and a folder for images.
final class TestHost: Sendable {
    let folder: String
    /// Of its domain. Its own: locks are the host's, and tests run at once.
    let uuid = UUID().uuidString.lowercased()

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/pipeline-\(UUID().uuidString)"
        try Files.makeFolder(folder)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: folder)
    }

    func file(_ name: String) -> String { "\(folder)/\(name)" }

    /// - Parameter runState: a number of `virDomainState`: 1 running, 3 paused, 5 shut off, 6 crashed.
    func connect(disks: String = "", runState: Int = 5, more: String = "") async throws -> Connection {
        let xml = """
            <node>
              <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
                <name>web</name><uuid>\(uuid)</uuid><memory>8192</memory><os><type>hvm</type></os>
                <devices>\(disks)</devices><test:runstate>\(runState)</test:runstate>
              </domain>\(more)
            </node>
            """
        try Data(xml.utf8).write(to: URL(filePath: file("host.xml")))
        return try await Connection.open("test://\(file("host.xml"))")
    }

    func pipeline(
        _ connection: Connection, _ options: Options = Options(), runner: any CommandRunner = HostCommandRunner()
    ) -> Pipeline {
        var options = options
        options.logFolder = file("log")
        options.journalFolder = file("journal")
        // The program lies beside the tests; they are no program that could count a loss.
        if let tests = OwnProgram.current {
            options.program = OwnProgram(
                path: "\(Files.folder(of: tests.path))/virt-fsck", libraryFolders: tests.libraryFolders)
        }
        return Pipeline(connection: connection, runner: runner, options: options) { _ in }
    }

    func disk(_ target: String, _ path: String, format: String = "raw", element: String = "") -> String {
        "<disk type='file' device='disk'><driver name='qemu' type='\(format)'/><source file='\(path)'/>"
            + "<target dev='\(target)' bus='virtio'/>\(element)</disk>"
    }

    func sparseFile(_ name: String, size: Int64) throws -> String {
        let file = try FileDescriptor.open(
            FilePath(file(name)), .readWrite, options: [.create], permissions: .ownerReadWrite)
        defer { try? file.close() }
        try file.resize(to: size)
        return self.file(name)
    }
}

struct PlanningTests {
    @Test func `a domain that doesn't exist is a row that says so`() async throws {
        let host = try TestHost()
        let outcome = await host.pipeline(try await host.connect()).outcome(ofRepairing: "nobody")
        #expect(outcome.outcome == .failed)
        #expect(outcome.name == "nobody")
        #expect(outcome.message == "no domain with matching name, UUID or id 'nobody'")
    }

    @Test func `a running domain is refused, and nothing happens to it`() async throws {
        let host = try TestHost()
        let path = try host.sparseFile("disk.raw", size: 1 << 20)
        let connection = try await host.connect(disks: host.disk("vda", path), runState: 1)
        let outcome = await host.pipeline(connection).outcome(ofRepairing: "web")
        #expect(outcome.outcome == .refused)
        #expect(outcome.message.contains("web: is running; shut it down first: --shutdown, or virsh shutdown web"))
        #expect(outcome.boot == nil)
        #expect(try await connection.summary(of: connection.lookUp("web")).state == .running)
    }

    @Test func `a crashed domain is planned, and not destroyed for it`() async throws {
        let host = try TestHost()
        let path = try host.sparseFile("disk.raw", size: 1 << 20)
        let connection = try await host.connect(disks: host.disk("vda", path), runState: 6)
        let plan = try await host.pipeline(connection).plan("web")
        #expect(plan.state == .crashed)
        let summary = try await connection.summary(of: plan.domain)
        #expect(plan.powersOff == summary.isActive)
        #expect(summary.state == .crashed)
        #expect(plan.disks.map(\.path) == [path])
    }

    @Test func `an image that another domain uses is refused, whatever path it is named by`() async throws {
        let host = try TestHost()
        let path = try host.sparseFile("disk.raw", size: 1 << 20)
        symlink(path, host.file("link.raw"))
        let other = """
            <domain type='test'><name>other</name><uuid>00000000-0000-4000-8000-000000000002</uuid><memory>8192</memory>
            <os><type>hvm</type></os><devices>\(host.disk("vda", host.file("link.raw")))</devices></domain>
            """
        let connection = try await host.connect(disks: host.disk("vda", path), more: other)
        let refusals = try await host.pipeline(connection).plan("web").refusals
        #expect(refusals.contains("vda: \(path) is used by other (vda) too; a repair would change that domain's disk"))
    }

    @Test func `an image below the disk of another domain is refused, though that domain's XML doesn't name it`()
        async throws
    {
        let host = try TestHost()
        let path = try host.sparseFile("base.raw", size: 1 << 20)
        let runner = HostCommandRunner()
        try await runner.output(
            of: Command("qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", "raw", host.file("middle.qcow2")))
        try await runner.output(
            of: Command(
                "qemu-img", "create", "-q", "-f", "qcow2", "-b", "middle.qcow2", "-F", "qcow2", host.file("top.qcow2")))
        let other = """
            <domain type='test'><name>clone</name><uuid>00000000-0000-4000-8000-000000000002</uuid><memory>8192</memory>
            <os><type>hvm</type></os><devices>\(host.disk("vda", host.file("top.qcow2"), format: "qcow2"))</devices></domain>
            """
        let connection = try await host.connect(disks: host.disk("vda", path), more: other)
        let refusals = try await host.pipeline(connection).plan("web").refusals
        #expect(refusals.contains("vda: \(path) is used by clone (vda) too; a repair would change that domain's disk"))
    }

    @Test(arguments: ["copy", "link", "hard link", "base", "cdrom"])
    func `two disks of a domain over one image are refused: the second merge would destroy the first`(
        kind: String
    ) async throws {
        let host = try TestHost()
        let path = try host.sparseFile("disk.raw", size: 1 << 20)
        var second = path
        if kind != "copy" { second = host.file("other") }
        switch kind {
        case "link", "cdrom": symlink(path, second)
        case "hard link": link(path, second)
        case "base":
            try await HostCommandRunner().output(
                of: Command("qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", "raw", second))
        default: break
        }
        var disk = host.disk("vdb", second, format: kind == "base" ? "qcow2" : "raw")
        if kind == "cdrom" { disk = disk.replacing("device='disk'", with: "device='cdrom'") }
        let connection = try await host.connect(disks: host.disk("vda", path) + disk)
        let refusals = try await host.pipeline(connection).plan("web").refusals
        #expect(
            refusals.contains(
                "vda: \(path) is used by the domain once more, as vdb; a repair of one would break the other"),
            "\(refusals)")
    }

    @Test func `a missing image is refused with its path`() async throws {
        let host = try TestHost()
        let connection = try await host.connect(disks: host.disk("vda", "/no/such/disk.raw"))
        let refusals = try await host.pipeline(connection).plan("web").refusals
        #expect(refusals.contains { $0.hasPrefix("vda: /no/such/disk.raw: ") })
    }

    @Test func `a backing file that is missing is refused`() async throws {
        let host = try TestHost()
        let base = try host.sparseFile("base.raw", size: 1 << 20)
        let runner = HostCommandRunner()
        let top = host.file("top.qcow2")
        try await runner.output(of: Command("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top))
        try Files.remove(base)
        let connection = try await host.connect(disks: host.disk("vda", top, format: "qcow2"))
        let missing = try await host.pipeline(connection).plan("web").refusals
        #expect(missing.contains("vda: \(top): its backing file \(base) is missing"))
    }
}

let canAttach =
    getuid() == 0 && access("/dev/fuse", R_OK) == 0 && access("/dev/loop-control", F_OK) == 0
    && ["qemu-storage-daemon", "qemu-img", "bwrap", "e2fsck", "debugfs", "sfdisk"].allSatisfy {
        HostCommandRunner().path(of: $0) != nil
    }

/// The whole way, on this machine's own loop devices, with libvirt's test driver.
@Suite(.enabled(if: canAttach), .serialized, .timeLimit(.minutes(40)))
struct RepairingTests {
    private let runner = HostCommandRunner()
    private let megabyte: Int64 = 1 << 20

    /// A disk of two partitions, 16 MiB each, from 1 MiB and 17 MiB on.
    private func twoPartitions(_ host: TestHost, _ name: String = "disk.raw") async throws -> String {
        let path = try host.sparseFile(name, size: 34 << 20)
        let script = host.file("table")
        try Data("label: dos\nstart=2048, size=32768, type=83\nstart=34816, size=32768, type=83\n".utf8)
            .write(to: URL(filePath: script))
        try await runner.output(of: Command("sh", "-c", "sfdisk -q \(path) < \(script)"))
        for (offset, label) in [(1, "one"), (17, "two")] {
            try await runner.output(
                of: Command(
                    "mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-E", "offset=\(offset << 20)", path, "16384"))
        }
        return path
    }

    /// Clears the inode of lost+found: e2fsck repairs it.
    private func damage(_ path: String, at offset: Int) async throws {
        try await runner.output(of: Command("debugfs", "-w", "-R", "clri <11>", "\(path)?offset=\(offset << 20)"))
    }

    /// Puts a filesystem there that is larger than its partition: e2fsck gives up.
    private func makeTooLarge(_ path: String, at offset: Int) async throws {
        let file = "\(path).large"
        try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", file, "24M"))
        try await runner.output(
            of: Command("dd", "if=\(file)", "of=\(path)", "bs=1M", "count=16", "seek=\(offset)", "conv=notrunc"))
        try FileManager.default.removeItem(atPath: file)
    }

    private func isSound(_ path: String, at offset: Int) async throws -> Bool {
        try await runner.run(Command("e2fsck", "-f", "-n", "\(path)?offset=\(offset << 20)")).isSuccess
    }

    private var options: Options {
        var options = Options()
        options.engine = .fuse
        options.start = .never
        return options
    }

    @Test func `one damaged partition is repaired, merged, and the XML is what it was`() async throws {
        let host = try TestHost()
        let path = try await twoPartitions(host)
        try await damage(path, at: 1)
        let connection = try await host.connect(disks: host.disk("vda", path))
        let id = try await connection.lookUp("web")
        let before = try await connection.xml(of: id, [.inactive, .secure])
        let outcome = await host.pipeline(connection, options).outcome(ofRepairing: "web")
        #expect(outcome.message == "")
        #expect(outcome.outcome == .repaired && outcome.isCommitted)
        #expect(outcome.volumes.map(\.volume.name) == ["vda1", "vda2"])
        #expect(outcome.volumes.map(\.outcome) == [.repaired, .clean])
        #expect(outcome.boot?.outcome == .notStarted)
        #expect(try await isSound(path, at: 1))
        #expect(try await connection.xml(of: id, [.inactive, .secure]) == before)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: host.folder).filter { $0.contains("virt-fsck") } == [])
        // Once more: nothing is left to do.
        let again = await host.pipeline(connection, options).outcome(ofRepairing: "web")
        #expect(again.outcome == .clean && !again.isCommitted)
    }

    @Test func `a check finds what is repairable, and the disk stays bit for bit what it was`() async throws {
        let host = try TestHost()
        let path = try await twoPartitions(host)
        try await damage(path, at: 1)
        let before = try Data(contentsOf: URL(filePath: path))
        let connection = try await host.connect(disks: host.disk("vda", path))
        var options = options
        options.mode = .check
        options.start = .always
        let outcome = await host.pipeline(connection, options).outcome(ofRepairing: "web")
        #expect(outcome.outcome == .repairable && !outcome.isCommitted)
        #expect(outcome.volumes.map(\.outcome) == [.repairable, .clean])
        #expect(outcome.boot?.outcome == .notStarted)
        #expect(try Data(contentsOf: URL(filePath: path)) == before)
    }

    @Test func `beside an unrepairable partition the other one is repaired, and the first stays bit for bit`()
        async throws
    {
        let host = try TestHost()
        let path = try await twoPartitions(host)
        try await damage(path, at: 1)
        try await makeTooLarge(path, at: 17)
        let before = try Data(contentsOf: URL(filePath: path))
        let connection = try await host.connect(disks: host.disk("vda", path))
        let outcome = await host.pipeline(connection, options).outcome(ofRepairing: "web")
        #expect(outcome.volumes.map(\.outcome) == [.repaired, .unrepaired], "\(outcome.message)")
        #expect(outcome.isCommitted)
        #expect(outcome.outcome == .unrepaired)
        #expect(try await isSound(path, at: 1))
        let after = try Data(contentsOf: URL(filePath: path))
        #expect(after[(17 << 20)..<(33 << 20)] == before[(17 << 20)..<(33 << 20)])
        #expect(after[..<(1 << 20)] == before[..<(1 << 20)])
    }

    @Test func `what was repaired on a read-only disk is not called repaired`() async throws {
        let host = try TestHost()
        let path = try await twoPartitions(host)
        try await damage(path, at: 1)
        let locked = try await twoPartitions(host, "read-only.raw")
        try await damage(locked, at: 1)
        let before = try Data(contentsOf: URL(filePath: locked))
        let connection = try await host.connect(
            disks: host.disk("vda", path) + host.disk("vdb", locked, element: "<readonly/>"))
        let outcome = await host.pipeline(connection, options).outcome(ofRepairing: "web")
        #expect(outcome.volumes.map(\.volume.name) == ["vda1", "vda2", "vdb1", "vdb2"], "\(outcome.message)")
        #expect(outcome.volumes.map(\.outcome) == [.repaired, .clean, .repairable, .clean])
        #expect(try Data(contentsOf: URL(filePath: locked)) == before)
    }

    @Test func `a system that is hibernated in the guest is left alone`() async throws {
        let host = try TestHost()
        let path = try await twoPartitions(host)
        try await damage(path, at: 1)
        let swap = try host.sparseFile("swap.raw", size: 16 << 20)
        try await runner.output(of: Command("mkswap", "-q", swap))
        let file = try FileDescriptor.open(FilePath(swap), .readWrite)
        // The signature at the end of the first page that a hibernated kernel leaves.
        try file.writeAll(toAbsoluteOffset: 4086, "S1SUSPEND\0".utf8)
        try file.close()
        let before = try Data(contentsOf: URL(filePath: path))
        let connection = try await host.connect(disks: host.disk("vda", path) + host.disk("vdb", swap))
        let outcome = await host.pipeline(connection, options).outcome(ofRepairing: "web")
        #expect(outcome.outcome == .refused)
        #expect(outcome.message.contains("hibernated"))
        #expect(try Data(contentsOf: URL(filePath: path)) == before)
    }
}
