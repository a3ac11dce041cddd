import Dispatch
import Synchronization

/// Looks at files that may never answer: a network filesystem whose server is gone, a FUSE filesystem whose process hangs.
/// A system call on such a file can't be given up; the thread that waits in it can.
public enum Patience {
    /// Something did not answer.
    public struct Exhausted: Error, Hashable, Sendable, CustomStringConvertible {
        /// What was looked at.
        public let subject: String
        /// For how long it was waited for.
        public let limit: Duration

        /// `subject: has not answered within …`.
        public var description: String {
            "\(subject): has not answered within \(limit.components.seconds) seconds: is its filesystem's server gone?"
        }
    }

    /// What a piece of work is at.
    public final class Steps: Sendable {
        private let state = Mutex((subject: "", since: ContinuousClock.now))

        /// Says what is looked at next; the time for it begins anew.
        public func begin(_ subject: String) { state.withLock { $0 = (subject, ContinuousClock.now) } }

        fileprivate func overdue(_ limit: Duration) -> String? {
            state.withLock { $0.since.duration(to: .now) > limit ? $0.subject : nil }
        }
    }

    /// Runs `work` on a thread of its own, and gives it up when one of its steps takes longer than `limit`.
    ///
    /// - Throws: what `work` throws; ``Exhausted``; `CancellationError`.
    public static func run<Value: Sendable>(
        limit: Duration = .seconds(20), _ work: @escaping @Sendable (Steps) throws -> Value
    ) async throws -> Value {
        let steps = Steps()
        let (ends, end) = AsyncStream.makeStream(of: Result<Value, any Error>.self)
        DispatchQueue(label: "virt-fsck.patience").async {
            end.yield(Result { try work(steps) })
            end.finish()
        }
        return try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask {
                for await result in ends { return try result.get() }
                throw CancellationError()
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: .milliseconds(200))
                    if let subject = steps.overdue(limit) { throw Exhausted(subject: subject, limit: limit) }
                }
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() else { throw CancellationError() }
            return value
        }
    }

    /// Runs `work` until everything that it still looks at has answered: what has not is passed over by the next attempt.
    ///
    /// - Parameters:
    ///   - silence: what to know of something that has not answered.
    ///   - work: gets all that has not answered so far.
    /// - Returns: also what has not answered.
    /// - Throws: as ``run(limit:_:)``; ``Exhausted`` when too much is silent.
    public static func passingOver<Silence: Sendable, Value: Sendable>(
        limit: Duration, _ silence: (Exhausted) async -> Silence,
        _ work: @escaping @Sendable ([Silence], Steps) throws -> Value
    ) async throws -> (Value, silent: [Silence]) {
        var silent: [Silence] = []
        while true {
            do {
                let known = silent
                return (try await run(limit: limit) { try work(known, $0) }, silent)
            } catch let error as Exhausted {
                guard silent.count < mostSilences else { throw error }
                silent.append(await silence(error))
            }
        }
    }

    private static let mostSilences = 16
}
