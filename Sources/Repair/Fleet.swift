import HostTools
import Synchronization

/// Works on many domains, some at once. What happens to one never stops another.
///
/// A domain whose guest is only waited for makes room for the next one.
public struct Fleet: Sendable {
    private let jobs: Int

    /// How many guests are waited for beside the work, for each job and in all: they all boot at the same time, and each may
    /// keep one of libvirtd's 20 workers (`max_workers`) busy with its agent.
    private static let waitingForEachJob = 4
    private static let mostWaiting = 16

    /// - Parameter jobs: how many at once; nil for as many as the host has cores.
    public init(jobs: Int? = nil) {
        self.jobs = max(1, jobs ?? Files.coreCount)
    }

    /// What came of each domain: a row for each selector, in their order. After a cancellation no more are begun:
    /// the rows of those are still `planned`, and say so.
    ///
    /// - Parameters:
    ///   - selectors: of the domains, as virsh takes them.
    ///   - work: takes one domain the whole way, and says when it only waits.
    ///   - whenDone: told each domain's row as soon as it is there, and how many there are by then.
    public func outcomes(
        of selectors: [String], _ work: @escaping @Sendable (String, Turn) async -> DomainOutcome,
        whenDone: (DomainOutcome, Int) -> Void = { _, _ in }
    ) async -> [DomainOutcome] {
        let room = WaitingRoom(places: min(jobs, Self.mostWaiting / Self.waitingForEachJob) * Self.waitingForEachJob)
        return await withTaskGroup(of: Event.self) { group in
            var waiting = Array(selectors.enumerated())[...]
            func begin() {
                guard !Task.isCancelled, let (index, selector) = waiting.popFirst() else { return }
                let turn = Turn(room: room)
                group.addTask {
                    defer { turn.end() }
                    return .done(index, await work(selector, turn))
                }
                group.addTask {
                    await turn.isOver()
                    return .hasRoom
                }
            }
            for _ in 0..<min(jobs, selectors.count) { begin() }
            var rows: [Int: DomainOutcome] = [:]
            for await event in group {
                switch event {
                case .hasRoom: begin()
                case .done(let index, let outcome):
                    rows[index] = outcome
                    whenDone(outcome, rows.count)
                }
            }
            for (index, selector) in waiting {
                rows[index] = DomainOutcome(
                    name: selector, outcome: .planned, message: "cancelled before its turn: nothing was done")
            }
            return rows.sorted { $0.key < $1.key }.map(\.value)
        }
    }

    private enum Event: Sendable {
        /// Another domain can be begun.
        case hasRoom
        case done(Int, DomainOutcome)
    }
}

/// A domain's turn among those of a ``Fleet``.
public final class Turn: Sendable {
    private struct State {
        var isOver = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let room: WaitingRoom
    private let state = Mutex(State())

    fileprivate init(room: WaitingRoom) {
        self.room = room
    }

    /// From now on the domain only waits: another one can have its turn, as soon as there is room for one more that waits.
    public func onlyWaits() { room.enter(self) }

    fileprivate func end() {
        room.leave(self)
        pass()
    }

    /// Waits until another domain can have the turn. A cancellation plays no part: whoever has it ends then.
    fileprivate func isOver() async {
        await withCheckedContinuation { waiter in
            let isOver = state.withLock { state in
                if !state.isOver { state.waiter = waiter }
                return state.isOver
            }
            if isOver { waiter.resume() }
        }
    }

    fileprivate func pass() {
        let waiter = state.withLock { state in
            state.isOver = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}

/// Where those are who have given their turn away and are not done.
private final class WaitingRoom: Sendable {
    private struct State {
        var places: Int
        var inside: Set<ObjectIdentifier> = []
        /// Who wait with their turn in their hands.
        var outside: [Turn] = []
    }

    private let state: Mutex<State>

    init(places: Int) { state = Mutex(State(places: places)) }

    func enter(_ turn: Turn) {
        let isInside = state.withLock { state in
            let isKnown = state.inside.contains(ObjectIdentifier(turn)) || state.outside.contains { $0 === turn }
            guard !isKnown else { return false }
            guard state.inside.count < state.places else {
                state.outside.append(turn)
                return false
            }
            state.inside.insert(ObjectIdentifier(turn))
            return true
        }
        if isInside { turn.pass() }
    }

    func leave(_ turn: Turn) {
        let next = state.withLock { state -> Turn? in
            state.outside.removeAll { $0 === turn }
            guard state.inside.remove(ObjectIdentifier(turn)) != nil, let next = state.outside.first else { return nil }
            state.outside.removeFirst()
            state.inside.insert(ObjectIdentifier(next))
            return next
        }
        next?.pass()
    }
}
