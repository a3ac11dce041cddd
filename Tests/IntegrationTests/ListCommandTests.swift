import Foundation
import Glibc
import TestSupport
import Testing

/// `virt-fsck list` on a host that libvirt's test driver plays.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct ListCommandTests {
    private static let shell = "[    2.100000] Run /init as init process\n(initramfs) "
    private static let oldShell = "Linux version 6.1\n(initramfs) \nLinux version 6.1\nhost login: "

    @Test func `of a thousand domains each failed one is shown`() async throws {
        try await withHost { host in
            for number in 0..<1000 { host.add("d\(number)", runState: number % 10 == 3 ? 6 : number % 2 == 0 ? 1 : 5) }
            let some = try await host.list()
            let crashed = (0..<1000).filter { $0 % 10 == 3 }.map { "d\($0)" }.sorted()
            #expect(some.map(\.name) == crashed)
            #expect(some.allSatisfy { $0.failed && $0.state == "crashed" && $0.evidence.contains("crashed") })
            let all = try await host.list("--all")
            #expect(all.count == 1000)
            #expect(all.filter(\.failed).map(\.name) == crashed)
            #expect(all.filter { $0.state == "running" }.count == 500)
            #expect(Set(all.map(\.uuid)).count == 1000)
        }
    }

    @Test func `a guest is dead by what its console's log says last`() async throws {
        try await withHost { host in
            let texts = [
                "shell": Self.shell, "booted-since": Self.oldShell,
                "panic": "[    1.000000] Kernel panic - not syncing: x\n",
                "empty": "", "healthy": "Linux version 6.1\nhost login: ",
            ]
            for (name, text) in texts { try host.addRunning(name, log: Data(text.utf8)) }
            try host.addRunning(
                "binary", log: Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 167 ^ $0 >> 7) }))
            host.add("no-log", runState: 1, log: "\(host.folder)/none")
            host.add("folder", runState: 1, log: host.folder)
            try host.add("off", runState: 5, log: host.write("off.log", Data(Self.shell.utf8)))
            let failed = try await host.list()
            #expect(failed.map(\.name) == ["panic", "shell"])
            #expect(failed.last?.evidence == "it runs, and its console says: initramfs shell: (initramfs) ")
            #expect(failed.first?.evidence.contains("Kernel panic - not syncing: x") == true)
            #expect(failed.allSatisfy { $0.state == "running" })
        }
    }

    @Test func `a log of several GB is read at its end`() async throws {
        try await withHost { host in
            let log = try host.write("huge.log", Data())
            try DiskSet.createSparse(log, size: 6 << 30)
            try FileHandle.update(log) { try $0.write(Array("\n\(Self.shell)".utf8), at: 6 << 30) }
            host.add("huge", runState: 1, log: log)
            let run = try await host.run("list", "--json")
            #expect(run.peakMemory < 80 << 20)
            #expect(try Document(run).domains.map(\.name) == ["huge"])
        }
    }

    /// libvirt's folder of the processes is one of the test's own, in which the domain's process is this one.
    @Test func `a log of an earlier run of the domain is no evidence`() async throws {
        try await withHost { host in
            try host.addRunning("again", log: Data(Self.shell.utf8))
            let pids = "\(host.folder)/run"
            try FileManager.default.createDirectory(atPath: "\(pids)/qemu", withIntermediateDirectories: true)
            try "\(getpid())\n".write(toFile: "\(pids)/qemu/again.pid", atomically: true, encoding: .utf8)
            let mounting = #"mkdir -p /run/libvirt && mount --bind "$0" /run/libvirt && exec "$@""#
            let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounting, pids]
            try host.save()
            let arguments = ["list", "--json", "--connect", host.uri]
            #expect(try Document(await VirtFsck.run(wrapper, arguments)).domains.map(\.name) == ["again"])
            try await Tool.output(of: "touch", ["--date=2020-01-01", "\(host.folder)/again.log"])
            #expect(try Document(await VirtFsck.run(wrapper, arguments)).domains.isEmpty)
        }
    }

    @Test func `a host without failed domains is said to have none`() async throws {
        try await withHost { host in
            let empty = try await host.run("list", "--all")
            #expect(empty.exitStatus == 0, "\(empty)")
            host.add("web", runState: 5)
            let run = try await host.run("list")
            #expect(run.exitStatus == 0)
            #expect(run.output == "no domain has failed\n")
            #expect(run.errorOutput == "")
            #expect(try await host.list().isEmpty)
            for verb in [["repair"], ["repair", "--yes"], ["check"], ["repair", "--dry-run"]] {
                let run = try await host.run(verb + ["--all"])
                #expect(run.exitStatus == 0, "\(run)")
                #expect(run.output == "no domain has failed\n", "\(run)")
            }
        }
    }

    @Test(arguments: [["list"], ["list", "--all", "--json"], ["repair", "--all", "--yes"], ["check", "--all"]])
    func `without a libvirtd it says so`(_ arguments: [String]) async throws {
        let run = try await VirtFsck.run(arguments, connect: "qemu+unix:///system?socket=/nonexistent/libvirt-sock")
        #expect(run.exitStatus == 8, "\(run)")
        #expect((run.output + run.errorOutput).contains("/nonexistent/libvirt-sock"), "\(run)")
        #expect((run.output + run.errorOutput).contains("is libvirtd running?"), "\(run)")
    }

    @Test(arguments: [
        ["list", "x"], ["--all", "x"], ["check", "--all", "x"], ["--all", "--jobs", "0"], ["--jobs", "-1", "x"],
        ["--include", "x*", "x"], ["--exclude", "x*", "x"], ["recover", "--keep"],
        ["recover", "--keep", "--discard", "x"], ["--boot-timeout", "0", "x"], ["--boot-timeout", "86401", "x"],
        ["--commit", "after-boot", "--no-wait", "x"], ["--commit", "after-boot", "--no-start", "x"],
        ["check", "--all", "--force-off"], ["web1", "check"], ["-v", "web1", "--json", "recover"], ["undo", "web1"],
        ["-q", "status"], ["--commit", "never", "check", "x"], ["--yes", "recover"], ["--dry-run", "recover", "x"],
        ["-c", "test:///default", "chekc", "test"], ["-c", "test:///default", "--dry-run", "chekc", "test"],
    ])
    func `wrong usage is exit status 16`(_ arguments: [String]) async throws {
        let run = try await VirtFsck.run([], arguments)
        #expect(run.exitStatus == 16, "\(run)")
        #expect(run.output == "")
    }

    @Test func `a domain that is named twice is one domain`() async throws {
        try await withHost { host in
            host.add("web", runState: 5)
            let run = try await host.run("check", "--json", "--jobs", "\(Int.max)", "web", "web")
            #expect(run.report?.domains.count == 1, "\(run)")
        }
    }

    private func withHost(_ body: (FakeHost) async throws -> Void) async throws {
        let folder = "\(TestHost.folder)/list-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(FakeHost(folder: folder))
    }
}

/// The document of `list --json`.
private struct Document: Decodable {
    struct Domain: Decodable {
        var name: String
        var uuid: String
        var state: String
        var failed: Bool
        var evidence: String
    }

    var domains: [Domain]

    init(_ run: VirtFsck.Run) throws {
        #expect(run.exitStatus == 0, "\(run)")
        self = try JSONDecoder().decode(Document.self, from: Data(run.output.utf8))
    }
}

/// Domains of libvirt's test driver.
private final class FakeHost {
    let folder: String
    private var domains: [String] = []

    init(folder: String) { self.folder = folder }

    var uri: String { "test://\(folder)/host.xml" }

    /// - Parameter runState: a number of `virDomainState`: 1 running, 5 shut off, 6 crashed.
    func add(_ name: String, runState: Int, log: String? = nil) {
        let digits = "\(domains.count + 1)"
        let uuid = "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
        let serial = log.map { "<serial type='pty'><log file='\($0)'/></serial>" } ?? ""
        domains.append(
            """
            <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
            <name>\(name)</name><uuid>\(uuid)</uuid><memory>8192</memory><os><type>hvm</type></os>
            <devices>\(serial)</devices><test:runstate>\(runState)</test:runstate></domain>
            """)
    }

    func addRunning(_ name: String, log: Data) throws { add(name, runState: 1, log: try write("\(name).log", log)) }

    func write(_ name: String, _ content: Data) throws -> String {
        try content.write(to: URL(filePath: "\(folder)/\(name)"))
        return "\(folder)/\(name)"
    }

    func save() throws { _ = try write("host.xml", Data("<node>\(domains.joined())</node>".utf8)) }

    func run(_ arguments: String...) async throws -> VirtFsck.Run { try await run(arguments) }

    func run(_ arguments: [String]) async throws -> VirtFsck.Run {
        try save()
        return try await VirtFsck.run(arguments, connect: uri)
    }

    func list(_ arguments: String...) async throws -> [Document.Domain] {
        try Document(await run(["list", "--json"] + arguments)).domains
    }
}
