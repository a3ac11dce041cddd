import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(40)))
struct BackgroundProcessTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    @Test func `it holds the lock of the descriptor that was its standard input`() async throws {
        let path = try folder.sparseFile("locked", size: 0)
        let locked = try FileDescriptor.open(FilePath(path), .readOnly)
        #expect(flock(locked.rawValue, LOCK_EX | LOCK_NB) == 0)
        let process = try await start(Command("sleep", "60"), standardInput: locked)
        // Ours goes, the process's share of the same open file description stays.
        try locked.close()
        #expect(!canLock(path))
        #expect(!process.hasEnded)
        await process.stop()
        #expect(process.hasEnded)
        // Another test that starts a program has all descriptors twice for a moment.
        #expect(try await eventually { canLock(path) })
    }

    @Test func `stopping waits until a process that ignores INT is gone`() async throws {
        let pid = folder.file("pid")
        try folder.program("stubborn", "trap '' INT\necho $$ > \(pid)\nwhile :; do sleep 0.01; done")
        let input = try FileDescriptor.open("/dev/null", .readOnly)
        defer { try? input.close() }
        let process = try await start(Command("stubborn"), standardInput: input)
        #expect(try await eventually { readPID(pid) == process.pid })
        await process.stop()
        #expect(!isAlive(process.pid))
    }

    @Test func `the user's hurry does not touch it, not even while it is being stopped`() async throws {
        let pid = folder.file("pid")
        try folder.program(
            "daemon",
            "trap '' INT\ntrap 'echo in order; exit 0' TERM\n"
                + "echo $$ > \(pid)\nulimit -t 60; while :; do :; done")
        let input = try FileDescriptor.open("/dev/null", .readOnly)
        defer { try? input.close() }
        let runner = folder.runner
        let log = try folder.log()
        defer { try? log.close() }
        let process = try await BackgroundProcess.start(
            Command("daemon"), by: runner, standardInput: input, log: log)
        #expect(try await eventually { readPID(pid) == process.pid })
        runner.hurry()
        #expect(!process.hasEnded)
        async let stopped: Void = process.stop()
        runner.hurry()
        await stopped
        #expect(try folder.text("log") == "in order\n")
    }

    @Test func `a task that is cancelled gets it too, and can stop it`() async throws {
        let input = try FileDescriptor.open("/dev/null", .readOnly)
        defer { try? input.close() }
        let starting = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await start(Command("sleep", "infinity"), standardInput: input)
        }
        let process = try await starting.value
        #expect(!process.hasEnded)
        await process.stop()
        #expect(process.hasEnded)
    }

    @Test func `it is told when it ended by itself, and its output is in the log`() async throws {
        try folder.program("short", "echo out; echo err >&2")
        let input = try FileDescriptor.open("/dev/null", .readOnly)
        defer { try? input.close() }
        let process = try await start(Command("short"), standardInput: input)
        await process.wait()
        #expect(process.hasEnded)
        #expect(try folder.text("log") == "out\nerr\n")
        // Stopping what has ended does nothing.
        await process.stop()
    }

    @Test func `a missing program is an error that names its package`() async throws {
        let input = try FileDescriptor.open("/dev/null", .readOnly)
        defer { try? input.close() }
        await #expect(throws: CommandError.notFound(program: "qemu-nbd", package: "qemu-utils")) {
            try await BackgroundProcess.start(
                Command("qemu-nbd"), by: HostCommandRunner(folders: ["/nowhere"]), standardInput: input, log: input)
        }
    }

    @Test func `a program that can't be executed is an error`() async throws {
        try Data("\u{7F}ELF nonsense".utf8).write(to: URL(filePath: folder.file("broken")))
        chmod(folder.file("broken"), 0o755)
        let input = try FileDescriptor.open("/dev/null", .readOnly)
        defer { try? input.close() }
        let error = await #expect(throws: CommandError.self) {
            try await start(Command("broken"), standardInput: input)
        }
        guard case .broken(let command, _) = error else {
            Issue.record("\(String(describing: error)) is not .broken")
            return
        }
        #expect(command == "broken")
    }

    private func start(_ command: Command, standardInput: FileDescriptor) async throws -> BackgroundProcess {
        let log = try folder.log()
        defer { try? log.close() }
        return try await BackgroundProcess.start(
            command, by: folder.runner, standardInput: standardInput, log: log)
    }

    private func canLock(_ path: String) -> Bool {
        guard let descriptor = try? FileDescriptor.open(FilePath(path), .readOnly) else { return false }
        defer { try? descriptor.close() }
        return flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0
    }
}
