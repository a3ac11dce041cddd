import Synchronization
import Testing

@testable import Repair

/// What happened, in order.
final class Chronicle: Sendable {
    private let state = Mutex<[String]>([])
    var events: [String] { state.withLock { $0 } }
    func note(_ event: String) { state.withLock { $0.append(event) } }
}

/// How many are at work, and how many there were at most.
final class Crowd: Sendable {
    private let state = Mutex((now: 0, most: 0))
    var most: Int { state.withLock { $0.most } }

    /// Somebody works for a while.
    func work() async {
        state.withLock { state in
            state.now += 1
            state.most = max(state.most, state.now)
        }
        for _ in 0..<20 { await Task.yield() }
        state.withLock { $0.now -= 1 }
    }
}

@Suite(.timeLimit(.minutes(40)))
struct CheckerBudgetTests {
    @Test func `no more checkers run at once than there are places`() async throws {
        let budget = CheckerBudget(places: 3) { .max }
        let crowd = Crowd()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<20 {
                group.addTask { _ = try await budget.ticket(for: .memory(1)).use { await crowd.work() } }
            }
            try await group.waitForAll()
        }
        #expect(crowd.most <= 3)
    }

    @Test func `who waits for memory is not overtaken`() async throws {
        let budget = CheckerBudget(places: 3) { 15 }
        let chronicle = Chronicle()
        let first = budget.ticket(for: .memory(10))
        let large = budget.ticket(for: .memory(10))
        let small = budget.ticket(for: .memory(1))
        async let second: Void = { _ = try await large.use { chronicle.note("large") } }()
        async let third: Void = { _ = try await small.use { chronicle.note("small") } }()
        _ = try await first.use {
            for _ in 0..<100 { await Task.yield() }
            chronicle.note("first")
        }
        _ = try await (second, third)
        #expect(chronicle.events.first == "first")
        #expect(chronicle.events.count == 3)
    }

    @Test func `who wants more than there is gets its turn, alone`() async throws {
        let budget = CheckerBudget(places: 3) { 0 }
        let one = budget.ticket(for: .memory(1))
        let other = budget.ticket(for: .memory(1))
        #expect(try await one.use { 1 }.hadCompany == false)
        #expect(try await other.use { 2 }.hadCompany == false)
    }

    @Test func `who wants everything waits for all others, and all others wait for it`() async throws {
        let budget = CheckerBudget(places: 3) { .max }
        let chronicle = Chronicle()
        let (before, all, after) = (
            budget.ticket(for: .memory(1)), budget.ticket(for: .everything), budget.ticket(for: .memory(1))
        )
        async let third: Void = { _ = try await after.use { chronicle.note("after") } }()
        async let second: Bool = {
            try await all.use {
                for _ in 0..<100 { await Task.yield() }
                chronicle.note("all")
            }.hadCompany
        }()
        _ = try await before.use {
            for _ in 0..<100 { await Task.yield() }
            chronicle.note("before")
        }
        #expect(try await second == false)
        try await third
        #expect(chronicle.events == ["before", "all", "after"])
    }

    @Test func `company is remembered, even where it left before the end`() async throws {
        let budget = CheckerBudget(places: 2) { .max }
        let (one, other) = (budget.ticket(for: .memory(1)), budget.ticket(for: .memory(1)))
        #expect(try await other.use { 1 }.hadCompany)
        #expect(try await one.use { 1 }.hadCompany)
        #expect(try await budget.ticket(for: .memory(1)).use { 1 }.hadCompany == false)
    }

    @Test func `who is cancelled leaves the queue, and lets in who stood behind`() async throws {
        let budget = CheckerBudget(places: 3) { 15 }
        let first = budget.ticket(for: .memory(10))
        let large = budget.ticket(for: .memory(10))
        let small = budget.ticket(for: .memory(1))
        let waiting = Task { try await large.use { 1 }.value }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(try await small.use { 2 }.value == 2)
        #expect(try await first.use { 3 }.value == 3)
    }

    @Test func `a share comes back when its work fails, or was cancelled before it began`() async throws {
        struct Failure: Error {}
        let budget = CheckerBudget(places: 1) { .max }
        await #expect(throws: Failure.self) { try await budget.ticket(for: .everything).use { throw Failure() } }
        let ticket = budget.ticket(for: .everything)
        let cancelled = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await ticket.use { 1 }.value
        }
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        #expect(try await budget.ticket(for: .everything).use { 2 }.value == 2)
    }
}
