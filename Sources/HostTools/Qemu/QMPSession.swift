import FoundationEssentials
import Subprocess

/// What went wrong between us and a QEMU process.
public enum QMPError: Error, Hashable, Sendable, CustomStringConvertible {
    /// QEMU refused a command; the text is its own.
    case refused(command: String, reason: String)
    /// A job ended with an error; the text is its own.
    case jobFailed(job: String, reason: String)
    /// The process ended, or said something that is no QMP.
    case connectionLost(reason: String)
    /// No answer in time.
    case timedOut(command: String)

    /// `subject: what happened`.
    public var description: String {
        switch self {
        case .refused(let command, let reason): "\(command): \(reason)"
        case .jobFailed(let job, let reason): "\(job): \(reason)"
        case .connectionLost(let reason): "qemu-storage-daemon: \(reason)"
        case .timedOut(let command): "qemu-storage-daemon: no answer to \(command)"
        }
    }
}

/// The QMP conversation with one QEMU process: commands with their answers, and what its events told.
/// Protocol: QEMU's `docs/interop/qmp-spec.txt`.
actor QMPSession {
    /// What the events said so far.
    struct Seen: Sendable {
        /// The last status of each job (`JOB_STATUS_CHANGE`; QAPI's `JobStatus`).
        var jobs: [String: String] = [:]
        /// Ids of the exports that are gone (`BLOCK_EXPORT_DELETED`).
        var deletedExports: Set<String> = []
    }

    private typealias Answer = CheckedContinuation<JSONValue, any Error>
    private typealias Waiter = (isDone: @Sendable (Seen) -> Bool, continuation: CheckedContinuation<Seen, any Error>)

    private let send: @Sendable (String) async throws -> Void
    private var answers: [Int64: (command: String, continuation: Answer)] = [:]
    private var waiters: [Waiter] = []
    private var seen = Seen()
    private var nextID: Int64 = 1
    private var end: QMPError?
    private var sending: Task<Void, Never>?

    /// - Parameter send: writes one line to the process.
    init(send: @Sendable @escaping (String) async throws -> Void) {
        self.send = send
    }

    /// Runs a command and returns what it returns.
    func execute(
        _ command: String, _ arguments: JSONValue = [:], timeout: Duration = .seconds(60)
    ) async throws -> JSONValue {
        if let end { throw end }
        let id = nextID
        nextID += 1
        let line = try JSONValue.object(
            ["execute": .string(command), "arguments": arguments, "id": .integer(id)]
        ).text
        let clock = Task {
            try await Task.sleep(for: timeout)
            self.answer(id, with: .failure(QMPError.timedOut(command: command)))
        }
        defer { clock.cancel() }
        return try await withCheckedThrowingContinuation { continuation in
            answers[id] = (command, continuation)
            // One line after the other: two that are written at once would mix.
            let earlier = sending
            sending = Task {
                await earlier?.value
                do {
                    try await self.send(line + "\n")
                } catch {
                    // It has ended, mostly, and the end of its output says so in a moment: then that is the answer.
                    try? await Task.sleep(for: .seconds(5))
                    self.answer(id, with: .failure(QMPError.connectionLost(reason: "\(error)")))
                }
            }
        }
    }

    /// Waits until the events have told what `isDone` looks for.
    func wait(until isDone: @Sendable @escaping (Seen) -> Bool) async throws -> Seen {
        if isDone(seen) { return seen }
        if let end { throw end }
        return try await withCheckedThrowingContinuation { continuation in
            waiters.append((isDone, continuation))
        }
    }

    /// Takes one line that the process wrote.
    func receive(_ line: String) {
        guard let message = try? JSONValue(parsing: line) else { return }
        if let event = message["event"]?.string {
            note(event, message["data"] ?? .null)
        } else if let id = message["id"]?.integer {
            if let error = message["error"] {
                let command = answers[id]?.command ?? "command \(id)"
                answer(id, with: .failure(QMPError.refused(command: command, reason: error["desc"]?.string ?? line)))
            } else {
                answer(id, with: .success(message["return"] ?? .null))
            }
        }
    }

    /// The process is gone: nobody will answer any more.
    func close(_ reason: QMPError) {
        end = reason
        for id in answers.keys { answer(id, with: .failure(reason)) }
        for waiter in waiters { waiter.continuation.resume(throwing: reason) }
        waiters = []
    }

    private func answer(_ id: Int64, with result: Result<JSONValue, any Error>) {
        answers.removeValue(forKey: id)?.continuation.resume(with: result)
    }

    private func note(_ event: String, _ data: JSONValue) {
        switch event {
        case "JOB_STATUS_CHANGE":
            if let job = data["id"]?.string { seen.jobs[job] = data["status"]?.string }
        case "BLOCK_EXPORT_DELETED":
            if let export = data["id"]?.string { seen.deletedExports.insert(export) }
        default: return
        }
        let done = waiters.filter { $0.isDone(seen) }
        waiters.removeAll { $0.isDone(seen) }
        for waiter in done { waiter.continuation.resume(returning: seen) }
    }
}
