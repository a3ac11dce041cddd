import Glibc
import HostTools
import SystemPackage
import Testing

struct HostProcessTests {
    @Test func `a process knows when it was started`() async throws {
        let folder = try ScratchFolder()
        let before = try FileStatus(of: folder.path).changed
        let log = try folder.log()
        defer { try? log.close() }
        let process = try await BackgroundProcess.start(
            Command("sleep", "60"), by: HostCommandRunner(), standardInput: log, log: log)
        let started = try #require(HostProcess(process.pid))
        await process.stop()
        let after = try FileStatus(of: try folder.sparseFile("after", size: 0)).changed
        #expect(started.name == "sleep")
        // 10 ms is what the kernel tells, and its clock for files ticks in such steps too.
        #expect(started.startedAt > before - 30_000_000 && started.startedAt < after + 30_000_000)
        #expect(HostProcess(process.pid) == nil)
    }

    @Test(.enabled(if: isRoot)) func `a process is found by its name`() throws {
        let own = try #require(HostProcess(getpid()))
        #expect(HostProcess.named([own.name]).contains { $0.pid == own.pid })
        #expect(HostProcess.named(["\(own.name)-not"]).isEmpty)
    }

    @Test func `nobody listens where there is no socket`() {
        #expect(HostProcess.listening(on: "/no/such/socket") == nil)
        #expect(HostProcess.listening(on: "/" + String(repeating: "x", count: 200)) == nil)
    }
}
