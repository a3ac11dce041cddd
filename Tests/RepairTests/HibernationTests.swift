import Foundation
import HostTools
import Libvirt
import SystemPackage
import Testing

@testable import Repair

private let hasNTFS = ["mkntfs", "ntfscp", "ntfs-3g.probe"].allSatisfy { HostCommandRunner().path(of: $0) != nil }

/// What a file of 8 KiB begins with, and the version of a restart page in the log.
private enum Sleep: Sendable {
    case file(String, size: Int = 8192)
    case log(major: UInt8, minor: UInt8)
    case none
}

/// A damaged ext4 beside an NTFS.
@Suite(.enabled(if: canAttach && hasNTFS), .timeLimit(.minutes(20)))
struct HibernationTests {
    private let runner = HostCommandRunner()

    private func damagedDisk(_ host: TestHost) async throws -> String {
        let path = try host.sparseFile("disk.raw", size: 16 << 20)
        try await runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", path))
        try await runner.output(of: Command("debugfs", "-w", "-R", "clri <11>", path))
        return path
    }

    private func windows(_ host: TestHost, _ sleep: Sleep = .none) async throws -> String {
        let path = try host.sparseFile("windows.raw", size: 32 << 20)
        try await runner.output(of: Command("mkntfs", "-q", "-F", "-f", path))
        switch sleep {
        case .none: break
        case .file(let start, let size):
            let content = Data(start.utf8) + Data(count: size - start.utf8.count)
            try content.write(to: URL(filePath: host.file("hiberfil.sys")))
            try await runner.output(of: Command("ntfscp", "-q", path, host.file("hiberfil.sys"), "hiberfil.sys"))
        case .log(let major, let minor):
            try write(Self.restartPage(major, minor), at: try logStart(path), of: path)
        }
        return path
    }

    /// Where $LogFile begins: mkntfs fills it, and nothing else, with ones.
    private func logStart(_ path: String) throws -> Int64 {
        let image = try Data(contentsOf: URL(filePath: path))
        let ones = Data(repeating: 0xFF, count: 65536)
        return Int64(try #require(image.range(of: ones)).lowerBound)
    }

    /// A page of $LogFile that says that the log is open and not clean (ntfs-3g's include/ntfs-3g/logfile.h).
    private static func restartPage(_ major: UInt8, _ minor: UInt8) -> [UInt8] {
        var page = [UInt8](repeating: 0, count: 4096)
        func put(_ bytes: [UInt8], _ offset: Int) { page.replaceSubrange(offset..<(offset + bytes.count), with: bytes) }
        // Header: page sizes, the update sequence, the place of the restart area, the version.
        put(Array("RSTR".utf8) + [0x1E, 0, 9, 0], 0)
        put([0, 0x10, 0, 0, 0, 0x10, 0, 0, 0x30, 0, minor, 0, major, 0, 1, 0], 16)
        // Restart area: one client, which is in use; sequence numbers for a log of 2 MiB; lengths.
        put([1, 0, 0xFF, 0xFF, 0, 0, 0, 0, 45, 0, 0, 0, 0xE0, 0, 0x40, 0, 0, 0, 0x20, 0, 0, 0, 0, 0], 0x38)
        put([0x30, 0, 0x40, 0], 0x30 + 36)
        // The client has neither one before nor one behind it.
        put([0xFF, 0xFF, 0xFF, 0xFF], 0x70 + 16)
        for sector in 1...8 { put([1, 0], sector * 512 - 2) }
        return page
    }

    private func write(_ bytes: some Sequence<UInt8>, at offset: Int64, of path: String) throws {
        let file = try FileDescriptor.open(FilePath(path), .readWrite)
        defer { try? file.close() }
        try file.writeAll(toAbsoluteOffset: offset, bytes)
    }

    private func outcome(
        _ host: TestHost, _ disks: [String], _ mode: Options.Mode = .repair,
        by runner: any CommandRunner = HostCommandRunner()
    ) async throws -> DomainOutcome {
        let elements = zip(["vda", "vdb"], disks).map { host.disk($0, $1) }.joined()
        var options = Options()
        options.engine = .fuse
        options.start = .never
        options.mode = mode
        let connection = try await host.connect(disks: elements)
        return await host.pipeline(connection, options, runner: runner).outcome(ofRepairing: "web")
    }

    @Test(arguments: [
        Sleep.file("HIBR"), .file("hibr"), .file("HIBR", size: 512), .log(major: 2, minor: 0),
    ]) private func `of a domain whose Windows sleeps nothing is written, and that volume is named`(sleep: Sleep)
        async throws
    {
        let host = try TestHost()
        let disks = [try await damagedDisk(host), try await windows(host, sleep)]
        let before = try disks.map { try Data(contentsOf: URL(filePath: $0)) }
        for mode in [Options.Mode.check, .repair] {
            let outcome = try await outcome(host, disks, mode)
            #expect(outcome.outcome == .refused, "\(outcome.message)")
            #expect(outcome.message.hasPrefix("vdb: Windows is hibernated"))
            #expect(outcome.message.contains("shutdown /s /f /t 0"))
        }
        #expect(try disks.map { try Data(contentsOf: URL(filePath: $0)) } == before)
    }

    @Test(arguments: [Sleep.none, .file(""), .file("wake"), .log(major: 1, minor: 1)])
    private func `a Windows that is off, or was cut off, keeps nobody from a repair, and stays what it is`(
        sleep: Sleep
    ) async throws {
        let host = try TestHost()
        let disks = [try await damagedDisk(host), try await windows(host, sleep)]
        let before = try Data(contentsOf: URL(filePath: disks[1]))
        let outcome = try await outcome(host, disks)
        #expect(outcome.volumes.map(\.outcome) == [.repaired, .unsupported], "\(outcome.message)")
        #expect(try Data(contentsOf: URL(filePath: disks[1])) == before)
    }

    @Test func `where nobody can tell, what would have to be written is refused, and what is clean is reported`()
        async throws
    {
        let host = try TestHost()
        let disks = [try await damagedDisk(host), try await windows(host)]
        let runner = RunnerWithout(program: "ntfs-3g.probe")
        let before = try disks.map { try Data(contentsOf: URL(filePath: $0)) }
        for mode in [Options.Mode.check, .repair] {
            let outcome = try await outcome(host, disks, mode, by: runner)
            #expect(outcome.outcome == .refused)
            #expect(outcome.message.hasPrefix("vdb: ntfs-3g.probe: not found; install ntfs-3g. "))
            #expect(outcome.message.hasSuffix("vda could be repaired otherwise"))
        }
        #expect(try disks.map { try Data(contentsOf: URL(filePath: $0)) } == before)
        try await self.runner.output(of: Command("mke2fs", "-q", "-F", "-t", "ext4", disks[0]))
        let outcome = try await outcome(host, disks, by: runner)
        #expect(outcome.volumes.map(\.outcome) == [.clean, .unsupported], "\(outcome.message)")
    }

    @Test(arguments: [
        // The second copy of $MFT's first records; the size of a sector; the mark of an encrypted volume.
        "mirror", "boot sector", "BitLocker",
    ]) func `an NTFS that is broken or encrypted may hold a Windows that sleeps`(kind: String) async throws {
        let host = try TestHost()
        let disks = [try await damagedDisk(host), try await windows(host)]
        switch kind {
        case "mirror":
            let image = try Data(contentsOf: URL(filePath: disks[1]))
            // The place of $MFTMirr in the boot sector, in clusters of 4096 bytes.
            let cluster = image[0x38..<0x40].reversed().reduce(0 as Int64) { $0 << 8 | Int64($1) }
            try write([0, 0, 0, 0], at: cluster * 4096 + 1024, of: disks[1])
        case "boot sector": try write([0, 0], at: 11, of: disks[1])
        default: try write([0xEB, 0x52, 0x90] + Array("-FVE-FS-".utf8), at: 0, of: disks[1])
        }
        let before = try disks.map { try Data(contentsOf: URL(filePath: $0)) }
        let outcome = try await outcome(host, disks)
        #expect(outcome.outcome == .refused, "\(outcome.volumes.map(\.message))")
        #expect(
            outcome.message.hasPrefix("vdb: ") && outcome.message.contains("nothing is written"), "\(outcome.message)")
        #expect(try disks.map { try Data(contentsOf: URL(filePath: $0)) } == before)
    }

    @Test func `a suspended system is seen behind the signature of an array, and in a partition that is cut off`()
        async throws
    {
        let host = try TestHost()
        let damaged = try await damagedDisk(host)
        let swap = try host.sparseFile("swap.raw", size: 16 << 20)
        try Data("label: dos\nstart=2048, size=4096, type=82\nstart=8192, type=83\n".utf8)
            .write(to: URL(filePath: host.file("table")))
        try await runner.output(of: Command("sh", "-c", "sfdisk -q \(swap) < \(host.file("table"))"))
        for start in [2048, 8192] as [Int64] {
            try write("S1SUSPEND\0".utf8, at: start * 512 + 4086, of: swap)
            // A page of swap, so that it is one of a version that is known.
            try write([1, 0, 0, 0, 0xFF, 1, 0, 0], at: start * 512 + 1024, of: swap)
        }
        try write("Intel Raid ISM Cfg Sig. 1.1.00".utf8, at: (16 << 20) - 1024, of: swap)
        let member = try await outcome(host, [damaged, swap])
        #expect(member.outcome == .refused)
        #expect(member.message.hasPrefix("vdb1: holds a hibernated system"), "\(member.message)")
        try write([UInt8](repeating: 0, count: 4096), at: 1 << 20, of: swap)
        let file = try FileDescriptor.open(FilePath(swap), .readWrite)
        try file.resize(to: 8 << 20)
        try file.close()
        let cut = try await outcome(host, [damaged, swap])
        #expect(cut.outcome == .refused, "\(cut.volumes.map { "\($0.volume.name) \($0.message)" })")
        #expect(cut.message.hasPrefix("vdb2: holds a hibernated system"), "\(cut.message)")
        #expect(!cut.message.contains("mkswap"))
    }
}

/// A host on which a program is not installed.
private struct RunnerWithout: CommandRunner {
    let program: String
    private let host = HostCommandRunner()

    init(program: String) { self.program = program }

    func path(of program: String) -> String? { program == self.program ? nil : host.path(of: program) }
    func run(_ command: Command) async throws(CommandError) -> CommandResult { try await host.run(command) }
    func run(_ command: Command, log: FileDescriptor) async throws(CommandError) -> CommandResult {
        try await host.run(command, log: log)
    }
}
