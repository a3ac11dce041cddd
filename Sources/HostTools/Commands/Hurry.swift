import Synchronization

/// Remembers what runs and may be killed when the user is in a hurry.
final class Hurry: Sendable {
    private struct State {
        var groups: [ObjectIdentifier: RunningGroup] = [:]
        var isOn = false
    }

    private let state = Mutex(State())

    /// From now on: whatever was cancelled, or will be, is killed at once.
    func begin() {
        let groups = state.withLock { state in
            state.isOn = true
            return Array(state.groups.values)
        }
        for group in groups { group.hurry() }
    }

    /// Runs `work` while the group may be killed.
    func during<Value>(_ group: RunningGroup, _ work: () async -> Value) async -> Value {
        let isOn = state.withLock { state in
            state.groups[ObjectIdentifier(group)] = group
            return state.isOn
        }
        if isOn { group.hurry() }
        let value = await work()
        state.withLock { $0.groups[ObjectIdentifier(group)] = nil }
        return value
    }
}
