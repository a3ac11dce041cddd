import Foundation
import Glibc
import TestSupport
import Testing

/// Ctrl-C, once and twice.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct SignalTests {
    @Test(arguments: TestHost.engines)
    func `a checker that ignores INT and TERM is killed at the second signal`(_ engine: String) async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let before = try await shop.snapshot()
            let stubborn = try await start(stubbornCheckerIn: shop, engine)
            kill(stubborn.pid, SIGINT)
            kill(stubborn.pid, SIGTERM)
            let run = try await stubborn.running.value
            #expect(run.exitStatus == 32, "\(run)")
            // In order TERM comes two seconds before KILL.
            #expect(HostState.checkersOutput(ofDomain: shop.name) == "started")
            #expect(run.errorOutput.contains("virt-fsck: stopping at the next safe point; press again to hurry\n"))
            #expect(run.errorOutput.contains("virt-fsck: hurrying: "))
            try #expect(await shop.snapshot() == before)
        }
    }

    @Test func `one signal gives a checker time`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let before = try await shop.snapshot()
            let stubborn = try await start(stubbornCheckerIn: shop, TestHost.engines[0])
            let start = ContinuousClock.now
            kill(stubborn.pid, SIGTERM)
            let run = try await stubborn.running.value
            #expect(run.exitStatus == 32, "\(run)")
            #expect(ContinuousClock.now - start >= .seconds(4))
            #expect(HostState.checkersOutput(ofDomain: shop.name) == "asked by TERM")
            #expect(run.errorOutput.contains("press again to hurry"))
            #expect(!run.errorOutput.contains("hurrying"))
            try #expect(await shop.snapshot() == before)
        }
    }

    private struct Stubborn {
        var pid: pid_t
        var running: Task<VirtFsck.Run, any Error>
    }

    /// Starts virt-fsck on a host whose e2fsck ends by KILL only, and says where it was asked by TERM; waits until that runs.
    private func start(stubbornCheckerIn shop: Workshop, _ engine: String) async throws -> Stubborn {
        let checker = "\(shop.folder)/e2fsck"
        let pidFile = "\(shop.folder)/pid"
        let script = """
            #!/bin/sh
            trap '' INT HUP
            trap 'echo asked by TERM' TERM
            echo started
            ulimit -t 600; while :; do :; done

            """
        try script.write(toFile: checker, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: checker)
        let path = try #require(Tool.path(of: "e2fsck"))
        let mounting = #"mount --bind "$0" "$1" && echo $$ > "$2" && shift 2 && exec "$@""#
        let wrapper = [
            "unshare", "--mount", "--propagation", "private", "sh", "-c", mounting, checker, path, pidFile,
        ]
        let arguments = ["--engine", engine, "--connect", PrivateLibvirt.shared.uri, shop.name]
        let running = Task { try await VirtFsck.run(wrapper, arguments) }
        let isStarted = await eventually {
            HostState.checkersOutput(ofDomain: shop.name) == "started"
        }
        let text = try String(contentsOfFile: pidFile, encoding: .utf8)
        let pid = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        if !isStarted { kill(pid, SIGTERM) }
        try #require(isStarted, "the checker was not started")
        return Stubborn(pid: pid, running: running)
    }
}
