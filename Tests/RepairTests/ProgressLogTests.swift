import Testing

@testable import Repair

struct ProgressLogTests {
    private let start = ContinuousClock.now

    private func event(_ domain: String, _ text: String) -> ProgressEvent { ProgressEvent(domain: domain, text: text) }

    @Test func `a step is said once, and safe for a terminal`() {
        var log = ProgressLog()
        #expect(log.take(event("web", "opening vda"), at: start) == "web: opening vda")
        #expect(log.take(event("web", "opening vda"), at: start) == nil)
        #expect(log.take(event("db", "opening vda"), at: start) == "db: opening vda")
        #expect(log.take(event("web", "opening vda"), at: start) == nil)
        #expect(log.take(event("web", "checking a\u{1B}[2J"), at: start) == #"web: checking a\u{1b}[2J"#)
    }

    @Test func `a step that lasts is told of more and more seldom`() {
        var log = ProgressLog()
        _ = log.take(event("web", "checking vda1"), at: start)
        _ = log.take(event("db", "opening vda"), at: start + .seconds(3 * 3600 - 10))
        var told: [(second: Int, line: String)] = []
        for second in stride(from: 0, through: 3 * 3600, by: 5) {
            told += log.reminders(at: start + .seconds(second)).map { (second, $0) }
        }
        #expect(told.prefix(4).map(\.second) == [30, 60, 90, 120])
        #expect(told.prefix(4).map(\.line).last == "web: checking vda1: 2 min so far")
        #expect(told.first?.line == "web: checking vda1: 30 s so far")
        #expect(told.last?.line.hasPrefix("web: checking vda1: 2 h ") == true)
        #expect(told.count < 60)
        #expect(zip(told, told.dropFirst()).allSatisfy { (30...605).contains($1.second - $0.second) })
    }

    @Test func `nothing is said of what is over, or of a step that has just begun`() {
        var log = ProgressLog()
        _ = log.take(event("web", "checking vda1"), at: start)
        _ = log.take(event("web", "checking vda2"), at: start + .seconds(25))
        _ = log.take(event("db", "checking vda1"), at: start)
        log.end("db")
        #expect(log.reminders(at: start + .seconds(40)).isEmpty)
        #expect(log.reminders(at: start + .seconds(55)) == ["web: checking vda2: 30 s so far"])
    }
}
