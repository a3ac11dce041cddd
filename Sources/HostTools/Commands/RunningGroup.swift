import Glibc
import Synchronization
import SystemPackage

/// The process group of a program that runs: remembers why it was told to stop, and makes it.
final class RunningGroup: Sendable {
    private struct State {
        var group: pid_t?
        var stopReason: CommandStatus?
        /// Whether INT and TERM are left out for whoever was cancelled.
        var isHurried = false
        var hasEnded = false
    }

    private let state = Mutex(State())

    /// Whether its program was started.
    var hasStarted: Bool { state.withLock { $0.group != nil } }

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
        guard isFirst else { return }
        // What prints without end fills the disk for as long as it is asked politely.
        if reason == .outputLimitExceeded { send(SIGKILL) }
        escalate()
    }

    /// The user can't wait: once it was cancelled, before or after this, it is killed at once. One that nobody has cancelled
    /// goes on.
    func hurry() {
        let isCancelled = state.withLock { state in
            state.isHurried = true
            return state.stopReason == .cancelled
        }
        if isCancelled { send(SIGKILL) }
    }

    /// Waits until no process of the group is left: a program's children may outlive it.
    ///
    /// A zombie that nobody has collected yet is no process any more.
    func emptied() async {
        var deadline: ContinuousClock.Instant?
        while true {
            let (group, isStopped) = state.withLock { ($0.group, $0.stopReason != nil) }
            guard let group, kill(-group, 0) == 0 || errno == EPERM, Self.hasLivingMember(group) else { return }
            if isStopped { deadline = deadline ?? .now + .seconds(10) }
            if let deadline, deadline < .now { return }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Nothing of the group is left; returns why it was told to stop, or nil.
    func ended() -> CommandStatus? {
        state.withLock { state in
            state.hasEnded = true
            return state.stopReason
        }
    }

    /// By /proc: state and group are the first and the third field behind the name (proc(5)).
    private static func hasLivingMember(_ group: pid_t) -> Bool {
        for name in Files.entries(of: "/proc") {
            guard pid_t(name) != nil,
                let fields = Files.line(of: "/proc/\(name)/stat")?.split(separator: ")").last?.split(separator: " "),
                fields.count > 2
            else { continue }
            if pid_t(fields[2]) == group, fields[0] != "Z", fields[0] != "X" { return true }
        }
        return false
    }

    private func escalate() {
        let isHurried = state.withLock { $0.isHurried && $0.stopReason == .cancelled }
        send(isHurried ? SIGKILL : SIGINT)
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

extension CommandStatus {
    /// The reason of whoever is stopped because its caller was cancelled: as if the user had pressed Ctrl-C.
    static let cancelled = CommandStatus.signaled(SIGINT)
}
