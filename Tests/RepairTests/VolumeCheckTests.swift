import Foundation
import Glibc
import HostTools
import Synchronization
import SystemPackage
import Testing

@testable import Repair

/// Everything that was done, in order, and what the checkers answer.
private final class Script: Sendable {
    private let steps = Mutex<[String]>([])
    private let answers: Mutex<[CommandStatus]>
    /// What each checker prints.
    let words: String
    /// What counting a loss comes to.
    let count: CommandResult

    init(_ answers: [CommandStatus], words: String = "", count: CommandResult = .counted()) {
        self.answers = Mutex(answers)
        self.words = words
        self.count = count
    }

    var transcript: [String] { steps.withLock { $0 } }
    func note(_ step: String) { steps.withLock { $0.append(step) } }
    /// The last answer is given for ever.
    func next() -> CommandStatus {
        answers.withLock { $0.count > 1 ? $0.removeFirst() : $0.first ?? .exited(0) }
    }
}

extension CommandResult {
    /// A count of files as JSON, of which nothing is lost where nothing else is said.
    fileprivate static func counted(_ change: (inout LossCount) -> Void = { _ in }) -> CommandResult {
        var count = LossCount()
        (count.before, count.after) = (300, 300)
        change(&count)
        let json = (try? JSONEncoder().encode(count)) ?? Data()
        return CommandResult(status: .exited(0), output: String(decoding: json, as: UTF8.self))
    }
}

private struct ScriptedRunner: CommandRunner {
    let script: Script
    var missing: Set<String> = []

    func path(of program: String) -> String? { missing.contains(program) ? nil : "/usr/sbin/\(program)" }
    func run(_ command: Command) async throws(CommandError) -> CommandResult {
        let words = command.arguments.split(separator: "--").last ?? []
        script.note(words.dropFirst(2).prefix(3).joined(separator: " "))
        return script.count
    }
    func run(_ command: Command, log: FileDescriptor) async throws(CommandError) -> CommandResult {
        // Behind setpriv's arguments: the checker's own, less the device.
        let words = command.arguments.split(separator: "--").last ?? []
        script.note(words.dropLast().joined(separator: " "))
        _ = try? log.writeAll(script.words.utf8)
        return CommandResult(status: script.next())
    }
}

private struct LostWrite: Error, CustomStringConvertible {
    var description: String { "Input/output error" }
}

private struct FakeMapping: VolumeMapping {
    let name: String
    let file: String
    let script: Script
    var losesWrites = false

    func withDevice<Value: Sendable>(
        for layout: Layout, access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value {
        script.note("attach \(name) \(access.rawValue)")
        let value = try await body(
            AttachedDevice(path: file, number: DeviceNumber(major: 7, minor: 250)) { [script, losesWrites] in
                script.note("sync")
                if losesWrites { throw LostWrite() }
            })
        script.note("detach")
        return value
    }
}

/// What a run on the overlay that repairs leaves in the transcript.
private let repair = ["attach overlay readWrite", "e2fsck -f -y", "sync", "detach"]
private let lookAtOriginal = ["attach original readOnly", "e2fsck -f -n", "detach"]
private let lookAtOverlay = ["attach overlay readOnly", "e2fsck -f -n", "detach"]
private let count = [
    "attach original readOnly", "attach overlay readOnly", "/sbin/virt-fsck measure-loss ext4", "detach", "detach",
]

@Suite(.enabled(if: getuid() == 0))
struct VolumeCheckTests {
    private let folder: String
    private let folders: RunFolders

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/volume-check-\(UUID().uuidString)"
        folders = RunFolders(run: "r", startedAt: "", runtime: folder, devices: folder, log: folder)
        try Files.makeFolder(folder)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var answers: [CommandStatus]
        var transcript: [String]
        var outcome: VolumeResult.Outcome
        var message = ""
        var exitStatus: Int32?
    }

    @Test(arguments: [
        Case(
            testDescription: "nothing wrong, the original neither", answers: [.exited(0), .exited(0)],
            transcript: repair + lookAtOriginal, outcome: .clean, exitStatus: 0),
        Case(
            testDescription: "nothing wrong, but the original is rejected and the overlay is not",
            answers: [.exited(0), .exited(4), .exited(0)], transcript: repair + lookAtOriginal + lookAtOverlay + count,
            outcome: .repaired, exitStatus: 0),
        Case(
            testDescription: "repaired and verified", answers: [.exited(1), .exited(0)],
            transcript: repair + lookAtOverlay + count, outcome: .repaired, exitStatus: 1),
        Case(
            testDescription: "repaired in the second round", answers: [.exited(1), .exited(4), .exited(1), .exited(0)],
            transcript: repair + lookAtOverlay + repair + lookAtOverlay + count, outcome: .repaired, exitStatus: 1),
        Case(
            testDescription: "errors again, then a run that finds none: it was repaired",
            answers: [.exited(1), .exited(4), .exited(0), .exited(0)],
            transcript: repair + lookAtOverlay + repair + lookAtOverlay + count, outcome: .repaired, exitStatus: 0),
        Case(
            testDescription: "errors for ever",
            answers: [.exited(1), .exited(4), .exited(1), .exited(4), .exited(1), .exited(4)],
            transcript: repair + lookAtOverlay + repair + lookAtOverlay + repair + lookAtOverlay, outcome: .unrepaired,
            message: "e2fsck repairs it, and finds errors again each time", exitStatus: 1),
        Case(
            testDescription: "nothing wrong for ever, and errors for ever",
            answers: [.exited(0), .exited(4), .exited(4), .exited(0), .exited(4), .exited(0), .exited(4)],
            transcript: repair + lookAtOriginal + lookAtOverlay + repair + lookAtOverlay + repair + lookAtOverlay,
            outcome: .unrepaired, message: "e2fsck repairs it, and finds errors again each time", exitStatus: 0),
        Case(
            testDescription: "errors left", answers: [.exited(4)], transcript: repair, outcome: .unrepaired,
            message: "e2fsck can't repair it", exitStatus: 4),
        Case(
            testDescription: "a sum of bits", answers: [.exited(12)], transcript: repair, outcome: .unrepaired,
            message: "e2fsck gave up (exit status 12)", exitStatus: 12),
        Case(
            testDescription: "gave up while repairing", answers: [.exited(9)], transcript: repair, outcome: .unrepaired,
            message: "e2fsck gave up (exit status 9)", exitStatus: 9),
        Case(
            testDescription: "crashed", answers: [.signaled(11)], transcript: repair, outcome: .unrepaired,
            message: "e2fsck killed by signal 11"),
        Case(
            testDescription: "timed out", answers: [.timedOut], transcript: repair, outcome: .unrepaired,
            message: "e2fsck stopped: it took too long"),
        Case(
            testDescription: "endless output", answers: [.outputLimitExceeded], transcript: repair,
            outcome: .unrepaired,
            message: "e2fsck stopped: it printed too much"),
        Case(
            testDescription: "crashed in the second run", answers: [.exited(1), .signaled(11)],
            transcript: repair + lookAtOverlay, outcome: .unrepaired, message: "e2fsck killed by signal 11",
            exitStatus: 1),
        Case(
            testDescription: "timed out in the second run", answers: [.exited(1), .timedOut],
            transcript: repair + lookAtOverlay, outcome: .unrepaired, message: "e2fsck stopped: it took too long",
            exitStatus: 1),
        Case(
            testDescription: "nothing wrong, then a second run that gives up on both",
            answers: [.exited(0), .timedOut, .timedOut], transcript: repair + lookAtOriginal + lookAtOverlay,
            outcome: .unrepaired, message: "e2fsck stopped: it took too long", exitStatus: 0),
    ]) func `the verdict rests on two runs`(verdict: Case) async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let script = Script(verdict.answers)
        let result = try await check(Sample.volume(), script)
        #expect(script.transcript == verdict.transcript)
        #expect(result.outcome == verdict.outcome)
        #expect(result.message == verdict.message)
        #expect(result.exitStatus == verdict.exitStatus)
    }

    @Test func `a replayed journal is a repair, though e2fsck found nothing wrong`() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let script = Script([.exited(0), .exited(0)])
        let result = try await check(Sample.volume(), script, superblock: [0x60: 4])
        #expect(script.transcript == repair + lookAtOverlay + count)
        #expect(result.outcome == .repaired)
        #expect(result.message == "its journal was replayed")
    }

    @Test func `a write that was lost is no repair, whatever the checker says`() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for status in [CommandStatus.exited(0), .exited(1)] {
            let script = Script([status, .exited(0)])
            let result = try await check(Sample.volume(), script, losesWrites: true)
            #expect(script.transcript == repair)
            #expect(result.outcome == .unrepaired)
            #expect(result.message == "a write was lost on its way to the overlay: Input/output error")
        }
    }

    @Test(arguments: [
        "Error reading block 98 (Input/output error).  Ignore error? yes\n",
        "Entry '..' in Error writing block 99 (Success).  Ignore error? yes\n",
        String(repeating: "x", count: (1 << 16) - 5) + "Error reading block 98 (Input/output error)",
    ]) func `what is made of blocks that can't be read is no repair, whatever the checker says`(
        _ text: String
    ) async throws {
        for status in [CommandStatus.exited(0), .exited(1)] {
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try Files.makeFolder(folder)
            let result = try await check(Sample.volume(), Script([status], words: text))
            #expect(result.outcome == .unrepaired)
            // The volume is on no device of which the kernel could tell.
            #expect(result.message.contains("the disk itself fails"))
        }
    }

    @Test(arguments: [
        "Error reading block 1099511627775 (Invalid argument).  Ignore error? yes",
        "Error reading block 98 (Attempt to read block from filesystem resulted in short read).  Ignore error? yes",
        "Error writing block 16385 (Bad file descriptor).  Ignore error? no",
    ]) func `a pointer that leads out of the filesystem is no failing disk`(_ text: String) async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let result = try await check(Sample.volume(), Script([.exited(1), .exited(0)], words: text))
        #expect(result.outcome == .repaired)
    }

    @Test(arguments: ["Entry 'Error reading block x' in / (2)", "Error reading block", "error reading block 98"])
    func `a file's name is no failing disk`(_ text: String) async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let result = try await check(Sample.volume(), Script([.exited(1), .exited(0)], words: text))
        #expect(result.outcome == .repaired)
    }

    @Test func `features that e2fsck does not know are no damage`() async throws {
        for (status, outcome) in [(12, VolumeResult.Outcome.unsupported), (8, .unsupported), (4, .unrepaired)] {
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try Files.makeFolder(folder)
            let script = Script([.exited(Int32(status))])
            let result = try await check(Sample.volume(), script, superblock: [0x5C: 0x4000])
            #expect(result.outcome == outcome)
            #expect(result.message.contains("FEATURE_C14") == (outcome == .unsupported), "\(result.message)")
        }
    }

    @Test(arguments: [
        (0x194, UInt32(5), "5 errors were met"), (0x3A, 2, "it says that errors were met"),
        (0x60, 4, "its journal was replayed"),
    ])
    func `a record of errors is not clean, and one that stays is not repaired`(
        _ place: Int, _ value: UInt32, _ words: String
    ) async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let result = try await check(Sample.volume(), Script([.exited(0), .exited(0)]), superblock: [place: value])
        // Nothing clears it here.
        #expect(result.outcome == (place == 0x60 ? .repaired : .unrepaired))
        #expect(result.message.contains(words), "\(result.message)")
    }

    @Test func `a filesystem that claims too much says so where it is not repaired`() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var volume = Sample.volume()
        volume.remark = "the filesystem claims 2 bytes, its volume has 1"
        #expect(
            try await check(volume, Script([.exited(4)])).message
                == "e2fsck can't repair it; the filesystem claims 2 bytes, its volume has 1")
        #expect(try await check(volume, Script([.exited(0)])).message == "")
    }

    @Test func `every run is in one log, and no device node is left`() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let result = try await check(Sample.volume("vg/lv root"), Script([.exited(1), .exited(0)]))
        #expect(result.log == "\(folder)/vg_lv_root.log")
        #expect(
            try String(contentsOfFile: "\(folder)/vg_lv_root.log", encoding: .utf8)
                == "# e2fsck -f -y\n# e2fsck -f -n\n")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["disk", "vg_lv_root.log"])
    }

    @Test(arguments: [
        (Volume.Content.nothingToCheck(type: "swap", why: "swap space"), VolumeResult.Outcome.skipped, "swap space"),
        (.unsupported(type: "btrfs", why: "no checker"), .unsupported, "no checker"),
        (.unclear(type: "", why: "two signatures"), .notChecked, "two signatures"),
        (
            .physicalVolume, .notChecked,
            "a physical volume whose LVM metadata can't be read, or that is in no volume group"
        ),
        (.filesystem(type: "btrfs"), .unsupported, "no checker for btrfs"),
    ]) func `what can't be checked is never touched, and never clean`(
        content: Volume.Content, outcome: VolumeResult.Outcome, message: String
    ) async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var volume = Sample.volume()
        volume.content = content
        let script = Script([])
        let result = try await check(volume, script)
        #expect(script.transcript == [])
        #expect(result.outcome == outcome && result.message == message)
    }

    @Test func `a checker that is not installed is named with its package`() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let script = Script([])
        let result = try await check(Sample.volume(type: "vfat"), script, missing: ["fsck.fat"])
        #expect(script.transcript == [])
        #expect(result.outcome == .unsupported)
        #expect(result.message == "fsck.fat: not found; install dosfstools")
    }

    @Test(arguments: [
        "e2fsck: Memory allocation failed while retrying", "xfs_repair: couldn't allocate block map",
        "failed to create prefetch thread: Resource temporarily unavailable", "malloc: Cannot allocate memory",
    ])
    func `who gives up for want of memory is said to`(words: String) async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for status in [CommandStatus.exited(8), .timedOut] {
            let script = Script([status], words: "Pass 1\n\(words)\naborted\n")
            let result = try await check(Sample.volume(), script)
            #expect(result.outcome == .unrepaired)
            let limit = ResourceLimits.ofThisHost.memory >> 20
            #expect(
                result.message.contains("it may use \(limit) MiB of memory, and says: \(words)"), "\(result.message)")
        }
    }

    @Test func `who gives up for another reason is not said to want memory`() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let result = try await check(Sample.volume(), Script([.exited(8)], words: "Bad magic number in super-block\n"))
        #expect(result.outcome == .unrepaired)
        #expect(!result.message.contains("memory"))
    }

    @Test func `who was killed by somebody else may have been so for want of memory`() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let result = try await check(Sample.volume(), Script([.signaled(9)]))
        #expect(result.outcome == .unrepaired)
        #expect(result.message == "e2fsck killed by signal 9; was the host short of memory? look: dmesg")
    }

    @Test func `a filesystem without a place is unsupported, not clean`() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var volume = Sample.volume()
        volume.layout = nil
        #expect(try await check(volume, Script([])).outcome == .unsupported)
    }

    private func check(
        _ volume: Volume, _ script: Script, superblock: [Int: UInt32] = [:], losesWrites: Bool = false,
        missing: Set<String> = []
    ) async throws -> VolumeResult {
        let file = "\(folder)/disk"
        var block = [UInt8](repeating: 0, count: 4096)
        if !superblock.isEmpty { (block[1080], block[1081]) = (0x53, 0xEF) }
        for (place, value) in superblock {
            for byte in 0..<4 { block[1024 + place + byte] |= UInt8(value >> (8 * UInt32(byte)) & 0xFF) }
        }
        try Data(block).write(to: URL(filePath: file))
        return try await VolumeCheck(
            overlays: FakeMapping(name: "overlay", file: file, script: script, losesWrites: losesWrites),
            originals: FakeMapping(name: "original", file: file, script: script),
            runner: ScriptedRunner(script: script, missing: missing), sandbox: Sandbox(.privilegesOnly), allowances: [],
            folders: folders, overlayRoom: OverlayRoom(folders: [folder]), program: OwnProgram(path: "/sbin/virt-fsck")
        ).result(for: FiledVolume(volume: volume, name: FileName.safe(volume.name)))
    }
}
