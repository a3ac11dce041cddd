import HostTools
import Synchronization

/// How many checkers may run at once in this process, whichever domain they work for, and how much memory they may want
/// together.
///
/// Whoever comes first is served first: a large volume that waits for memory is not overtaken for ever by small ones.
public final class CheckerBudget: Sendable {
    /// What a checker wants.
    enum Want: Hashable, Sendable {
        /// So many bytes of memory. It gets its turn all the same when nobody else runs: nobody knows for certain what a
        /// checker needs.
        case memory(UInt64)
        /// To be the only one.
        case everything
    }

    /// A place in the queue, then a share. It must be used.
    struct Ticket: Sendable {
        fileprivate let id: Int
        fileprivate let budget: CheckerBudget

        /// Waits for its turn, runs `body`, and gives the share back.
        ///
        /// - Returns: what `body` returns, and whether another checker had a share at any moment meanwhile.
        /// - Throws: `CancellationError` where the task was cancelled before its turn; what `body` throws.
        func use<Value>(_ body: () async throws -> Value) async throws -> (value: Value, hadCompany: Bool) {
            guard await budget.turn(of: id) else { throw CancellationError() }
            do {
                try Task.checkCancellation()
                let value = try await body()
                return (value, budget.giveBack(id))
            } catch {
                _ = budget.giveBack(id)
                throw error
            }
        }
    }

    private struct Request {
        var id: Int
        var want: Want
        var waiter: CheckedContinuation<Bool, Never>?
    }

    private struct Share {
        var want: Want
        var hadCompany: Bool
    }

    private struct State {
        var queue: [Request] = []
        var shares: [Int: Share] = [:]
        var last = 0
    }

    private let places: Int
    private let freeMemory: @Sendable () -> UInt64
    private let state = Mutex(State())

    /// A budget.
    ///
    /// - Parameter places: checkers at once; nil for as many as the host has cores.
    public convenience init(places: Int? = nil) {
        self.init(places: places ?? Files.coreCount) { HostMemory.available ?? ResourceLimits.ofThisHost.memory }
    }

    /// - Parameter freeMemory: bytes that the host could give now.
    init(places: Int, freeMemory: @escaping @Sendable () -> UInt64) {
        self.places = max(1, places)
        self.freeMemory = freeMemory
    }

    /// Takes a place in the queue, behind everybody who has one.
    func ticket(for want: Want) -> Ticket {
        let id = state.withLock { state in
            state.last += 1
            state.queue.append(Request(id: state.last, want: want))
            return state.last
        }
        admit()
        return Ticket(id: id, budget: self)
    }

    /// Waits for the turn of a ticket; false where the task was cancelled before it came.
    private func turn(of id: Int) async -> Bool {
        let isMine = await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                let answer = state.withLock { state -> Bool? in
                    if state.shares[id] != nil { return true }
                    guard let index = state.queue.firstIndex(where: { $0.id == id }) else { return false }
                    state.queue[index].waiter = waiter
                    return nil
                }
                if let answer { waiter.resume(returning: answer) }
            }
        } onCancel: {
            leave(id)
        }
        // Who waited in front of somebody may have kept him waiting.
        if !isMine { admit() }
        return isMine
    }

    private func leave(_ id: Int) {
        let waiter = state.withLock { state in
            let index = state.queue.firstIndex { $0.id == id }
            return index.flatMap { state.queue.remove(at: $0).waiter }
        }
        waiter?.resume(returning: false)
    }

    private func giveBack(_ id: Int) -> Bool {
        let hadCompany = state.withLock { $0.shares.removeValue(forKey: id)?.hadCompany ?? false }
        admit()
        return hadCompany
    }

    /// Gives shares to those in front of the queue, as far as they go.
    private func admit() {
        let waiters = state.withLock { state in
            var waiters: [CheckedContinuation<Bool, Never>] = []
            while let first = state.queue.first, hasRoom(for: first.want, beside: state.shares.values.map(\.want)) {
                state.queue.removeFirst()
                let hasCompany = !state.shares.isEmpty
                if hasCompany { for id in state.shares.keys { state.shares[id]?.hadCompany = true } }
                state.shares[first.id] = Share(want: first.want, hadCompany: hasCompany)
                if let waiter = first.waiter { waiters.append(waiter) }
            }
            return waiters
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }

    /// What runs may have taken its memory already: then it counts twice, and somebody waits who need not.
    private func hasRoom(for want: Want, beside others: [Want]) -> Bool {
        guard !others.isEmpty else { return true }
        guard others.count < places, case .memory(var needed) = want else { return false }
        for other in others {
            guard case .memory(let bytes) = other else { return false }
            needed += bytes
        }
        return needed <= freeMemory()
    }
}
