import Glibc
import Synchronization

/// The process group of a program that runs: remembers why it was told to stop, and makes it.
final class RunningGroup: Sendable {
    private struct State {
        var group: pid_t?
        var stopReason: CommandStatus?
        var hasEnded = false
    }

    private let state = Mutex(State())

    /// Whether nothing of the group is left.
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    /// The program runs; its process id is that of its group.
    func started(_ pid: pid_t) {
        let stopReason = state.withLock { state in
            state.group = pid
            return state.stopReason
        }
        if stopReason != nil { escalate() }
    }

    /// Makes the group end: INT at once, TERM and KILL two seconds apart. The first reason stays.
    func stop(_ reason: CommandStatus) {
        let isFirst = state.withLock { state in
            guard state.stopReason == nil, !state.hasEnded else { return false }
            state.stopReason = reason
            return true
        }
        if isFirst { escalate() }
    }

    /// Nothing of the group is left; returns why it was told to stop, or nil.
    func ended() -> CommandStatus? {
        state.withLock { state in
            state.hasEnded = true
            return state.stopReason
        }
    }

    private func escalate() {
        send(SIGINT)
        Task {
            for signal in [SIGTERM, SIGKILL] {
                try await Task.sleep(for: .seconds(2))
                send(signal)
            }
        }
    }

    private func send(_ signal: Int32) {
        state.withLock { state in
            guard let group = state.group, !state.hasEnded else { return }
            kill(-group, signal)
        }
    }
}
