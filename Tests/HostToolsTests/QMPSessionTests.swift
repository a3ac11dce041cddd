import Synchronization
import Testing

@testable import HostTools

/// A QEMU that answers what the test says.
private final class Script: Sendable {
    private let state = Mutex<[String]>([])

    var lines: [JSONValue] { state.withLock { $0 }.compactMap { try? JSONValue(parsing: $0) } }
    func add(_ line: String) { state.withLock { $0.append(line) } }
}

@Suite(.timeLimit(.minutes(40)))
struct QMPSessionTests {
    private let script: Script
    private let session: QMPSession

    init() {
        let script = Script()
        self.script = script
        session = QMPSession { script.add($0) }
    }

    @Test func `a command is one line with its arguments, and gets what QEMU returns`() async throws {
        let running = Task { [session] in try await session.execute("query-jobs", ["a": 1]) }
        #expect(try await eventually { script.lines.count == 1 })
        #expect(script.lines == [["execute": "query-jobs", "arguments": ["a": 1], "id": 1]])
        await session.receive(#"{"return": [1, 2], "id": 1}"#)
        #expect(try await running.value == [1, 2])
    }

    @Test func `answers out of order reach who asked`() async throws {
        let first = Task { [session] in try await session.execute("first") }
        #expect(try await eventually { script.lines.count == 1 })
        let second = Task { [session] in try await session.execute("second") }
        #expect(try await eventually { script.lines.count == 2 })
        #expect(script.lines.map { $0["id"]?.integer } == [1, 2])
        await session.receive(#"{"return": "of the second", "id": 2}"#)
        await session.receive(#"{"return": "of the first", "id": 1}"#)
        #expect(try await second.value == "of the second")
        #expect(try await first.value == "of the first")
    }

    @Test func `a refusal carries QEMU's words and the command's name`() async throws {
        let running = Task { [session] in try await session.execute("blockdev-add") }
        #expect(try await eventually { script.lines.count == 1 })
        await session.receive(#"{"error": {"class": "GenericError", "desc": "Could not open"}, "id": 1}"#)
        let expected = QMPError.refused(command: "blockdev-add", reason: "Could not open")
        await #expect(throws: expected) { try await running.value }
        #expect(expected.description == "blockdev-add: Could not open")
    }

    @Test func `events that came before anybody waited count`() async throws {
        await session.receive(#"{"event": "JOB_STATUS_CHANGE", "data": {"id": "merge", "status": "ready"}}"#)
        await session.receive(#"{"event": "BLOCK_EXPORT_DELETED", "data": {"id": "fuse1"}}"#)
        let seen = try await session.wait { $0.jobs["merge"] == "ready" && $0.deletedExports.contains("fuse1") }
        #expect(seen.jobs == ["merge": "ready"])
    }

    @Test func `a waiter goes on with the event it waits for, and not before`() async throws {
        let waited = Task { [session] in try await session.wait { $0.jobs["merge"] == "concluded" } }
        for status in ["created", "running", "pending"] {
            await session.receive(#"{"event": "JOB_STATUS_CHANGE", "data": {"id": "merge", "status": "\#(status)"}}"#)
        }
        await session.receive(#"{"event": "JOB_STATUS_CHANGE", "data": {"id": "other", "status": "concluded"}}"#)
        await session.receive(#"{"event": "JOB_STATUS_CHANGE", "data": {"id": "merge", "status": "concluded"}}"#)
        #expect(try await waited.value.jobs == ["merge": "concluded", "other": "concluded"])
    }

    @Test func `the end of the process ends every command and every wait`() async throws {
        let command = Task { [session] in try await session.execute("query-jobs") }
        #expect(try await eventually { script.lines.count == 1 })
        let wait = Task { [session] in try await session.wait { _ in false } }
        let end = QMPError.connectionLost(reason: "it ended unexpectedly")
        await session.close(end)
        await #expect(throws: end) { try await command.value }
        await #expect(throws: end) { try await wait.value }
        // And whoever comes later.
        await #expect(throws: end) { try await session.execute("query-jobs") }
        await #expect(throws: end) { try await session.wait { _ in false } }
        #expect(end.description == "qemu-storage-daemon: it ended unexpectedly")
    }

    @Test func `what was seen before the end is known after it`() async throws {
        await session.receive(#"{"event": "BLOCK_EXPORT_DELETED", "data": {"id": "fuse1"}}"#)
        await session.close(.connectionLost(reason: "gone"))
        _ = try await session.wait { $0.deletedExports.contains("fuse1") }
    }

    @Test func `no answer in time is an error, and a late answer does no harm`() async throws {
        await #expect(throws: QMPError.timedOut(command: "slow")) {
            try await session.execute("slow", timeout: .milliseconds(50))
        }
        await session.receive(#"{"return": {}, "id": 1}"#)
        let next = Task { [session] in try await session.execute("next") }
        #expect(try await eventually { script.lines.count == 2 })
        await session.receive(#"{"return": "next", "id": 2}"#)
        #expect(try await next.value == "next")
    }

    @Test func `a pipe that is gone is an error of the command`() async throws {
        struct Broken: Error {}
        let session = QMPSession { _ in throw Broken() }
        let error = await #expect(throws: QMPError.self) { try await session.execute("quit") }
        guard case .connectionLost = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(arguments: [
        "", "no JSON", "{}", "[]", "null", #"{"event": 1}"#, #"{"QMP": {"version": {}}}"#, #"{"return": {}, "id": 99}"#,
        #"{"return": {}}"#, #"{"event": "JOB_STATUS_CHANGE"}"#, #"{"error": {}, "id": 99}"#,
    ]) func `a line that means nothing to us is passed over`(line: String) async throws {
        let running = Task { [session] in try await session.execute("query-jobs") }
        #expect(try await eventually { script.lines.count == 1 })
        await session.receive(line)
        await session.receive(#"{"return": true, "id": 1}"#)
        #expect(try await running.value == true)
    }
}
