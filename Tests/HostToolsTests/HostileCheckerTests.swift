import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

/// A checker that a guest's filesystem has taken over, in the real sandbox.
@Suite(
    .enabled(if: Cell.isPossible, "needs root, FUSE, bubblewrap and python3"),
    .timeLimit(.minutes(40)))
struct HostileCheckerTests {
    private let folder: ScratchFolder
    private let cell: Cell

    init() throws {
        folder = try ScratchFolder()
        cell = try Cell(folder, Sandbox(.bubblewrap, limits: ResourceLimits(memory: 1 << 30)))
    }

    @Test func `no wall lets a hostile checker through`() async throws {
        let result = try await cell.python(HostileChecker.script)
        let lines = result.output.split(separator: "\n").map(String.init)
        #expect(result.status == .exited(0), "\(result)")
        #expect(lines.last == "attempts \(HostileChecker.attempts)")
        let through = lines.dropLast().filter { !$0.hasPrefix("blocked ") }
        #expect(through.isEmpty, "\(through.joined(separator: "\n"))")
    }

    @Test func `the script says so where a wall is missing`() async throws {
        // As the same user without bubblewrap: sockets can be had.
        let command = Sandbox(.privilegesOnly).confine(
            Command("python3", "-I", "-S", "-c", HostileChecker.socketsOnly, "/dev/null"), to: [])
        let result = try await cell.runner.run(command)
        for name in ["socket AF_INET:", "socket AF_UNIX:", "socketpair:"] {
            #expect(result.output.contains("THROUGH \(name)"), "\(name) \(result)")
        }
    }

    @Test(arguments: ["", "os.setsid();", "os.setsid(); os.close(1); os.close(2);"])
    func `who ignores signals and never ends is killed`(escape: String) async throws {
        let script = """
            import os, signal
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
            \(escape)
            import resource; resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
            while True: pass
            """
        let log = try folder.log()
        defer { try? log.close() }
        let start = ContinuousClock.now
        let result = try await cell.python(script, timeout: .milliseconds(500), log: log)
        #expect(result.status == .timedOut)
        // It would have run for ten minutes.
        #expect(ContinuousClock.now - start < .seconds(300))
    }

    @Test func `endless output is stopped`() async throws {
        let log = try folder.log()
        defer { try? log.close() }
        let result = try await cell.python("while True: print('a line of many words')", outputLimit: 1 << 20, log: log)
        #expect(result.status == .outputLimitExceeded)
        #expect(try FileStatus(of: folder.file("log")).size == 1 << 20)
    }

    @Test func `the host that runs out of memory ends a checker first`() async throws {
        let command = Sandbox(.privilegesOnly).confine(Command("cat", "/proc/self/oom_score_adj"), to: [])
        #expect(try await cell.runner.output(of: command) == "1000\n")
    }
}
