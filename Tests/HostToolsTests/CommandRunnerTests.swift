import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

@Suite(.timeLimit(.minutes(40)))
struct CommandRunnerTests {
    private let folder: ScratchFolder
    private let runner: HostCommandRunner

    init() throws {
        folder = try ScratchFolder()
        runner = folder.runner
    }

    @Test(arguments: [0, 1, 4, 12, 63, 255] as [Int32]) func `an exit status is a result`(status: Int32) async throws {
        let result = try await runner.run(Command("sh", "-c", "echo out; echo err >&2; exit \(status)"))
        #expect(result == CommandResult(status: .exited(status), output: "out\n", errorOutput: "err\n"))
        #expect(result.isSuccess == (status == 0))
    }

    @Test(arguments: [SIGKILL, SIGSEGV, SIGTERM]) func `a signal is a result`(signal: Int32) async throws {
        let result = try await runner.run(Command("sh", "-c", "kill -\(signal) $$"))
        #expect(result.status == .signaled(signal))
    }

    @Test func `output that must be there fails with the program's words`() async throws {
        #expect(try await runner.output(of: Command("echo", "hello")) == "hello\n")
        let command = Command("sh", "-c", "echo no such thing >&2; exit 3")
        await #expect(
            throws: CommandError.failed(
                command: command.description, status: .exited(3), complaint: "no such thing")
        ) {
            try await runner.output(of: command)
        }
    }

    @Test func `the environment is ours and nothing of the caller's`() async throws {
        setenv("VIRT_FSCK_TEST_LEAK", "1", 1)
        let lines = try await runner.output(of: Command("env")).split(separator: "\n").map(String.init)
        #expect(lines.contains("LC_ALL=C"))
        #expect(lines.contains("HOME=/"))
        #expect(lines.contains("PATH=" + HostCommandRunner.searchPath.joined(separator: ":")))
        #expect(Set(lines.map { $0.prefix { $0 != "=" } }) == ["PATH", "LC_ALL", "HOME", "LVM_SUPPRESS_FD_WARNINGS"])
    }

    @Test func `no descriptor of ours reaches a program, and its standard input is empty`() async throws {
        // Neither close-on-exec: what a lock's duplicate may be.
        let leaking = dup(2)
        defer { close(leaking) }
        let result = try await runner.run(Command("sh", "-c", "ls /proc/self/fd; cat"))
        // ls has the folder open as 3.
        #expect(result.output == "0\n1\n2\n3\n")
    }

    @Test func `a program is the leader of a process group of its own`() async throws {
        let text = try await runner.output(of: Command("sh", "-c", "cut -d' ' -f5 /proc/$$/stat; echo $$"))
        let numbers = text.split(separator: "\n")
        #expect(numbers.count == 2 && numbers[0] == numbers[1])
        #expect(numbers.first.map(String.init) != String(getpgrp()))
    }

    @Test func `a program reads what it was given, and one that does not read it does no harm`() async throws {
        var command = Command("cat")
        command.input = Array("some words".utf8)
        #expect(try await runner.output(of: command) == "some words")
        command.program = "true"
        for _ in 0..<20 { #expect(try await runner.run(command).isSuccess) }
        let log = try folder.log()
        defer { try? log.close() }
        #expect(try await runner.run(command, log: log).isSuccess)
        // Ended before it was written, with swift-subprocess's own writer.
        let (runner, unread) = (runner, command)
        let running = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await runner.run(unread)
        }
        _ = try await running.value
    }

    @Test func `output that is no UTF-8 is replaced`() async throws {
        #expect(try await runner.output(of: Command("printf", #"a\377b"#)) == "a\u{FFFD}b")
    }

    @Test func `a program that takes too long is interrupted`() async throws {
        let result = try await runner.run(Command("sleep", "60", timeout: .milliseconds(100)))
        #expect(result.status == .timedOut)
    }

    @Test func `the first signal is INT, so that a checker can stop in order`() async throws {
        let ready = folder.file("ready")
        try folder.program(
            "patient", "trap 'echo stopped in order; exit 0' INT\necho $$ > \(ready)\nwhile :; do sleep 0.01; done")
        let result = try await stopped(Command("patient"), whenItHasWritten: ready)
        #expect(result.output == "stopped in order\n")
        #expect(result.status == .signaled(SIGINT))
    }

    @Test func `who ignores INT gets TERM`() async throws {
        let ready = folder.file("ready")
        try folder.program(
            "stubborn",
            "trap '' INT\ntrap 'echo terminated; exit 0' TERM\necho $$ > \(ready)\nwhile :; do sleep 0.01; done")
        let result = try await stopped(Command("stubborn"), whenItHasWritten: ready)
        #expect(result.output == "terminated\n")
        #expect(result.status == .signaled(SIGINT))
    }

    @Test func `children that ignore INT and TERM are killed with the program`() async throws {
        let child = folder.file("child")
        try folder.program("wrapper", Self.deafChild(child))
        let result = try await stopped(Command("wrapper"), whenItHasWritten: child)
        #expect(result.status == .signaled(SIGINT))
        let pid = try #require(readPID(child))
        #expect(!isAlive(pid))
    }

    @Test func `in log mode children that ignore INT and TERM are killed with the program`() async throws {
        let child = folder.file("child")
        try folder.program("wrapper", Self.deafChild(child))
        let log = try folder.log()
        defer { try? log.close() }
        let result = try await stopped(Command("wrapper"), whenItHasWritten: child, log: log)
        #expect(result.status == .signaled(SIGINT))
        let last = try #require(readPID(child))
        #expect(!isAlive(last))
    }

    /// A program whose child ends by KILL only.
    private static func deafChild(_ child: String) -> String {
        """
        sh -c 'trap "" INT TERM; echo $$ > \(child); while :; do sleep 0.01; done' &
        wait
        """
    }

    @Test func `endless output is stopped, and nobody of the group is left`() async throws {
        let child = folder.file("child")
        try folder.program("chatter", "sh -c 'echo $$ > \(child); exec yes' &\nwait")
        let result = try await runner.run(Command("chatter", [], timeout: .seconds(30), outputLimit: 1 << 16))
        #expect(result.status == .outputLimitExceeded)
        let pid = try #require(readPID(child))
        #expect(!isAlive(pid))
    }

    @Test func `endless output is stopped in log mode, and the log stays bounded`() async throws {
        let child = folder.file("child")
        try folder.program("chatter", "sh -c 'echo $$ > \(child); while :; do echo a line of many words; done' &\nwait")
        let log = try folder.log()
        defer { try? log.close() }
        let result = try await runner.run(
            Command("chatter", [], timeout: .seconds(30), outputLimit: 1 << 16), log: log)
        #expect(result.status == .outputLimitExceeded)
        #expect(try FileStatus(of: folder.file("log")).size == 1 << 16)
        let last = try #require(readPID(child))
        #expect(!isAlive(last))
    }

    @Test func `output up to the limit is let through`() async throws {
        let command = Command("head", ["-c", "65536", "/dev/zero"], outputLimit: 65536)
        #expect(try await runner.run(command).status == .exited(0))
        let log = try folder.log()
        defer { try? log.close() }
        #expect(try await runner.run(command, log: log).status == .exited(0))
        #expect(try FileStatus(of: folder.file("log")).size == 65536)
    }

    @Test func `a log gets both streams in the order they were written`() async throws {
        let log = try folder.log()
        defer { try? log.close() }
        let result = try await runner.run(Command("sh", "-c", "echo one; echo two >&2; echo three; exit 4"), log: log)
        #expect(result == CommandResult(status: .exited(4)))
        #expect(try folder.text("log") == "one\ntwo\nthree\n")
    }

    @Test func `log mode ends only when the last holder of the pipe has ended`() async throws {
        let go = folder.file("go")
        try folder.program(
            "orphaning", "sh -c 'while [ ! -e \(go) ]; do sleep 0.01; done; echo the last word' &\nexit 4")
        let log = try folder.log()
        defer { try? log.close() }
        let runner = runner
        let hasReturned = Flag()
        let running = Task {
            defer { hasReturned.raise() }
            return try await runner.run(Command("orphaning"), log: log)
        }
        // Long enough for a runner that looks at the program's own end only.
        let early = try await raised(hasReturned, within: .milliseconds(500))
        #expect(!early)
        try Files.create(go)
        #expect(try await running.value.status == .exited(4))
        #expect(try folder.text("log") == "the last word\n")
    }

    @Test func `a log that is full is no reason to end a checker in the middle of a write`() async throws {
        let full = try FileDescriptor.open("/dev/full", .writeOnly)
        defer { try? full.close() }
        let result = try await runner.run(Command("sh", "-c", "echo lost; exit 4"), log: full)
        #expect(result.status == .exited(4))
    }

    @Test func `a cancelled task stops the program and returns`() async throws {
        let child = folder.file("child")
        try folder.program("waiting", "echo $$ > \(child)\nexec sleep 60")
        let runner = runner
        let running = Task { try await runner.run(Command("waiting")) }
        #expect(try await eventually { readPID(child) != nil })
        running.cancel()
        #expect(try await running.value.status == .signaled(SIGINT))
        let last = try #require(readPID(child))
        #expect(!isAlive(last))
    }

    @Test func `a task that was cancelled before it ran a program does not leave one`() async throws {
        let runner = runner
        let start = ContinuousClock.now
        let running = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await runner.run(Command("sleep", "600"))
        }
        #expect(try await running.value.status == .signaled(SIGINT))
        #expect(ContinuousClock.now - start < .seconds(300), "it would have run for ten minutes")
    }

    @Test func `in a hurry a cancelled checker that ignores INT and TERM is killed at once`() async throws {
        let child = folder.file("child")
        let asked = folder.file("asked")
        try folder.program("stubborn", Self.stubborn(child, asked))
        let runner = runner
        var command = Command("stubborn")
        command.haste = .kill
        let stubborn = command
        let running = Task { try await runner.run(stubborn) }
        #expect(try await eventually { readPID(child) != nil })
        running.cancel()
        runner.hurry()
        #expect(try await running.value.status == .signaled(SIGINT))
        // In order TERM comes two seconds before KILL.
        #expect(!FileManager.default.fileExists(atPath: asked))
        let last = try #require(readPID(child))
        #expect(!isAlive(last))
    }

    @Test func `in a hurry who is cancelled later is killed at once too`() async throws {
        let child = folder.file("child")
        let asked = folder.file("asked")
        try folder.program("stubborn", Self.stubborn(child, asked))
        let runner = runner
        runner.hurry()
        var command = Command("stubborn")
        command.haste = .kill
        let stubborn = command
        let running = Task { try await runner.run(stubborn) }
        #expect(try await eventually { readPID(child) != nil })
        running.cancel()
        #expect(try await running.value.status == .signaled(SIGINT))
        #expect(!FileManager.default.fileExists(atPath: asked))
    }

    /// A program that ends by KILL only, and leaves a file where it was asked by TERM.
    private static func stubborn(_ child: String, _ asked: String) -> String {
        "trap '' INT\ntrap 'echo > \(asked)' TERM\necho $$ > \(child)\nulimit -t 60; while :; do :; done"
    }

    @Test func `in a hurry a checker that nobody cancelled goes on`() async throws {
        let (started, go) = (folder.file("started"), folder.file("go"))
        try folder.program(
            "working", "echo $$ > \(started)\nwhile [ ! -e \(go) ]; do sleep 0.01; done\necho done")
        let runner = runner
        var command = Command("working")
        command.haste = .kill
        let working = command
        let running = Task { try await runner.run(working) }
        #expect(try await eventually { readPID(started) != nil })
        runner.hurry()
        try Files.create(go)
        #expect(try await running.value == CommandResult(status: .exited(0), output: "done\n"))
    }

    @Test func `in a hurry a program that works on a disk ends in order`() async throws {
        let child = folder.file("child")
        try folder.program(
            "merging",
            "trap 'echo in order; exit 0' TERM\ntrap '' INT\necho $$ > \(child)\nulimit -t 60; while :; do :; done")
        let runner = runner
        let running = Task { try await runner.run(Command("merging")) }
        #expect(try await eventually { readPID(child) != nil })
        running.cancel()
        runner.hurry()
        #expect(try await running.value.output == "in order\n")
    }

    /// Runs a program, and cancels that when the program has come to where it writes its number into a file. A time limit would
    /// end it in the same way, but perhaps before it has set its traps.
    private func stopped(
        _ command: Command, whenItHasWritten file: String, log: FileDescriptor? = nil
    ) async throws -> CommandResult {
        let runner = runner
        let running = Task {
            if let log { return try await runner.run(command, log: log) }
            return try await runner.run(command)
        }
        #expect(try await eventually { readPID(file) != nil })
        running.cancel()
        return try await running.value
    }

    private func raised(_ flag: Flag, within limit: Duration) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline, !flag.isRaised { try await Task.sleep(for: .milliseconds(5)) }
        return flag.isRaised
    }
}
