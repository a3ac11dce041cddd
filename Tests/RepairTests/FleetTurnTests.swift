import Testing

@testable import Repair

@Suite(.timeLimit(.minutes(40)))
struct FleetTurnTests {
    private let chronicle = Chronicle()

    @Test func `a domain that only waits keeps nobody from working`() async {
        let (over, end) = AsyncStream.makeStream(of: Void.self)
        let rows = await Fleet(jobs: 1).outcomes(of: ["a", "b", "c"]) { name, turn in
            chronicle.note("\(name) begins")
            if name == "a" {
                turn.onlyWaits()
                for await _ in over {}
            }
            if name == "c" { end.finish() }
            chronicle.note("\(name) ends")
            return DomainOutcome(name: name, outcome: .clean, message: "")
        }
        #expect(rows.map(\.name) == ["a", "b", "c"])
        #expect(chronicle.events == ["a begins", "b begins", "b ends", "c begins", "c ends", "a ends"])
    }

    @Test func `a domain that works keeps its turn to the end`() async {
        let crowd = Crowd()
        _ = await Fleet(jobs: 2).outcomes(of: (0..<20).map(String.init)) { name, _ in
            await crowd.work()
            return DomainOutcome(name: name, outcome: .clean, message: "")
        }
        #expect(crowd.most <= 2)
    }

    @Test func `no more guests are waited for at once than four for each job, beside those that hold a turn`() async {
        let crowd = Crowd()
        let names = (0..<40).map(String.init)
        let rows = await Fleet(jobs: 2).outcomes(of: names) { name, turn in
            turn.onlyWaits()
            // Said twice, it counts once.
            turn.onlyWaits()
            await crowd.work()
            return DomainOutcome(name: name, outcome: .clean, message: "")
        }
        #expect(rows.map(\.name) == names)
        #expect(crowd.most <= 2 * 4 + 2)
    }

    @Test func `the places of those who wait are given on`() async {
        // One job and four places: the fifth keeps the turn until one of those who wait is done, and then so does the sixth.
        let (over, end) = AsyncStream.makeStream(of: Void.self)
        _ = await Fleet(jobs: 1).outcomes(of: (1...6).map(String.init)) { name, turn in
            chronicle.note("\(name) begins")
            turn.onlyWaits()
            if name == "1" { for await _ in over { break } }
            if name == "5" { end.yield() }
            if name != "1", name != "6" { while !chronicle.events.contains("6 begins") { await Task.yield() } }
            return DomainOutcome(name: name, outcome: .clean, message: "")
        }
        #expect(chronicle.events == (1...6).map { "\($0) begins" })
    }

    @Test func `after a cancellation no more are begun, and who waits is waited for`() async {
        let running = Task {
            await Fleet(jobs: 1).outcomes(of: ["a", "b", "c"]) { name, turn in
                if name == "a" { turn.onlyWaits() }
                if name == "b" { chronicle.note("b begins") }
                while !Task.isCancelled { await Task.yield() }
                return DomainOutcome(name: name, outcome: .clean, message: "")
            }
        }
        while chronicle.events.isEmpty { await Task.yield() }
        running.cancel()
        let rows = await running.value
        #expect(rows.map(\.name) == ["a", "b", "c"])
        #expect(rows.map(\.outcome) == [.clean, .clean, .planned])
        #expect(rows.last?.message == "cancelled before its turn: nothing was done")
    }
}
