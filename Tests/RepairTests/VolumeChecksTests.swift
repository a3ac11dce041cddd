import Synchronization
import Testing

@testable import HostTools
@testable import Repair

/// A point that nobody passes before all have reached it.
private final class Meeting: Sendable {
    private let state: Mutex<(missing: Int, waiting: [CheckedContinuation<Void, Never>])>

    init(of count: Int) { state = Mutex((count, [])) }

    func reached() async {
        await withCheckedContinuation { continuation in
            let everybody = state.withLock { state in
                state.missing -= 1
                state.waiting.append(continuation)
                defer { if state.missing == 0 { state.waiting = [] } }
                return state.missing == 0 ? state.waiting : []
            }
            for one in everybody { one.resume() }
        }
    }
}

private struct Failure: Error, Hashable {
    var words: String
}

@Suite(.timeLimit(.minutes(40)))
struct VolumeChecksTests {
    private let chronicle = Chronicle()

    @Test func `volumes are checked at once, and their results are in order`() async throws {
        let (all, second) = (Meeting(of: 3), Meeting(of: 2))
        let results = try await checks(places: 3).results(of: volumes("a", "b", "c")) { volume in
            await all.reached()
            // The first one ends last.
            if volume.name != "b" { await second.reached() }
            return result(volume)
        }
        #expect(results.map(\.volume.name) == ["a", "b", "c"])
    }

    @Test func `with one place they are checked in order, and only what is checked is said to be`() async throws {
        _ = try await checks(places: 1).results(of: volumes("a", "b", "c")) { volume in
            chronicle.note(volume.name)
            return result(volume)
        }
        #expect(
            chronicle.events == [
                "checking a (ext4)", "a", "checking b (ext4)", "b", "checking c (ext4)", "c",
            ])
    }

    @Test func `what is checked at once is said at once`() async throws {
        let both = Meeting(of: 2)
        _ = try await checks(places: 2).results(of: volumes("a", "b")) { volume in
            await both.reached()
            return result(volume)
        }
        let events = chronicle.events
        #expect(events.count == 3)
        #expect(["checking a (ext4)", "checking b (ext4)"].contains(events.first))
        #expect(events.dropFirst().first == "checking a (ext4), b (ext4)")
        #expect(["checking a (ext4)", "checking b (ext4)"].contains(events.last))
    }

    @Test func `two domains share the places`() async throws {
        let budget = CheckerBudget(places: 2) { .max }
        let crowd = Crowd()
        @Sendable func work() async throws {
            _ = try await checks(budget).results(of: volumes("a", "b", "c", "d")) { volume in
                await crowd.work()
                return result(volume)
            }
        }
        async let one: Void = work()
        async let other: Void = work()
        _ = try await (one, other)
        #expect(crowd.most <= 2)
    }

    @Test func `what no checker is started for waits for nobody`() async throws {
        let budget = CheckerBudget(places: 1) { .max }
        let taken = budget.ticket(for: .everything)
        var swap = Sample.volume("vda2")
        swap.content = .nothingToCheck(type: "swap", why: "swap space")
        let results = try await checks(budget).results(of: [FiledVolume(volume: swap, name: "vda2")]) { result($0) }
        #expect(results.count == 1)
        #expect(chronicle.events == [])
        _ = try await taken.use {}
    }

    @Test func `an error stops the others, which clean up first, and no more are begun`() async throws {
        let both = Meeting(of: 2)
        await #expect(throws: Failure(words: "b")) {
            _ = try await checks(places: 2).results(of: volumes("a", "b", "c")) { volume in
                await both.reached()
                if volume.name == "b" { throw Failure(words: "b") }
                while !Task.isCancelled { await Task.yield() }
                chronicle.note("\(volume.name) cleaned up")
                throw CancellationError()
            }
        }
        #expect(chronicle.events.contains("a cleaned up"))
        #expect(!chronicle.events.contains { $0.contains("checking c") })
    }

    @Test func `a cancellation reaches every check`() async throws {
        let all = Meeting(of: 3)
        let running = Task {
            try await checks(places: 2).results(of: volumes("a", "b", "c")) { volume in
                await all.reached()
                while !Task.isCancelled { await Task.yield() }
                chronicle.note("\(volume.name) stopped")
                throw CancellationError()
            }
        }
        await all.reached()
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        #expect(Set(chronicle.events.filter { $0.hasSuffix("stopped") }) == ["a stopped", "b stopped"])
    }

    @Test func `the error is the one that the others follow from, with what could not be cleaned up`() {
        let first = Failure(words: "first")
        let left = CleanUpError(work: CancellationError(), cleanUp: Failure(words: "left"))
        #expect(VolumeChecks.summary(of: [CancellationError(), first]) as? Failure == first)
        #expect(VolumeChecks.summary(of: []) == nil)
        #expect(VolumeChecks.summary(of: [CancellationError()]) is CancellationError)
        #expect((VolumeChecks.summary(of: [CancellationError(), left]) as? CleanUpError)?.work is CancellationError)
        let both = VolumeChecks.summary(of: [left, first]) as? CleanUpError
        #expect(both?.work as? Failure == first)
        #expect(both?.cleanUp as? Failure == Failure(words: "left"))
    }

    @Test(arguments: [["a/b_c", "a_b/c", "run"], ["run", "a_b/c", "a/b_c"]])
    func `a volume's log has the same name in each pass, and no other's`(names: [String]) {
        let filed = FiledVolume.all(names.map { Sample.volume($0) })
        #expect(filed.map(\.volume.name) == names)
        #expect(
            Dictionary(uniqueKeysWithValues: filed.map { ($0.volume.name, $0.name) })
                == ["a/b_c": "a_b_c", "a_b/c": "a_b_c-2", "run": "run-2"])
    }

    @Test func `volumes that need the same are checked one after the other`() {
        let plan = checks(places: 8) { Set($0.name.split(separator: "+").map(String.init)) }
        #expect(plan.lanes(of: volumes("x", "y", "x", "z")) == [[0, 2], [1], [3]])
        #expect(plan.lanes(of: volumes("x", "y", "x+y", "z", "y")) == [[0, 1, 2, 4], [3]])
        #expect(checks(places: 8).lanes(of: volumes("x", "x")) == [[0], [1]])
    }

    @Test func `who may have lacked memory is known only where others had some`() async throws {
        @Sendable func short(_ volume: FiledVolume) -> VolumeResult {
            var result = result(volume)
            result.mayLackMemory = true
            return result
        }
        let alone = try await checks(places: 2).results(of: volumes("a")) { short($0) }
        #expect(alone.map(\.mayLackMemory) == [false])
        let both = Meeting(of: 2)
        let beside = try await checks(places: 2).results(of: volumes("a", "b")) { volume in
            await both.reached()
            return volume.name == "a" ? short(volume) : result(volume)
        }
        #expect(beside.map(\.mayLackMemory) == [true, false])
        let again = try await checks(CheckerBudget(places: 2) { .max }, .unwanted).results(of: volumes("a", "b")) {
            short($0)
        }
        #expect(again.map(\.mayLackMemory) == [false, false])
    }

    @Test func `what turns, and what QEMU lets only one have, keeps volumes apart`() {
        let disk = RotatingDisk(number: DeviceNumber(major: 8, minor: 0))
        #expect(Contention.resources(of: "vda", on: [], .deviceMapper) == [])
        #expect(Contention.resources(of: "vda", on: [disk], .deviceMapper) == ["host's 8:0"])
        #expect(Contention.resources(of: "vda", on: [], .daemonNodes) == ["vda"])
        #expect(Contention(Sample.plan()).resources(of: Sample.volume()).isSubset(of: ["vda"]))
    }

    // MARK: Helpers

    private func checks(
        places: Int, resources: @escaping @Sendable (Volume) -> Set<String> = { _ in [] }
    ) -> VolumeChecks {
        checks(CheckerBudget(places: places) { .max }, resources: resources)
    }

    private func checks(
        _ budget: CheckerBudget, _ company: VolumeChecks.Company = .welcome,
        resources: @escaping @Sendable (Volume) -> Set<String> = { _ in [] }
    ) -> VolumeChecks {
        VolumeChecks(budget: budget, company: company, resources: resources) { [chronicle] in chronicle.note($0) }
    }

    private func volumes(_ names: String...) -> [FiledVolume] {
        names.map { FiledVolume(volume: Sample.volume($0), name: $0) }
    }

    private func result(_ volume: FiledVolume) -> VolumeResult {
        VolumeResult(volume: volume.volume, outcome: .clean)
    }
}
