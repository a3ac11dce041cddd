import Synchronization

/// Measures how long each stage takes.
final class StageClock: Sendable {
    private let state = Mutex<(last: ContinuousClock.Instant, laps: [StageTime])>((.now, []))

    /// The stages so far.
    var laps: [StageTime] { state.withLock { $0.laps } }

    /// Ends a stage that began where the one before ended.
    func lap(_ stage: String) {
        state.withLock { state in
            let now = ContinuousClock.now
            state.laps.append(StageTime(stage: stage, seconds: (now - state.last).inSeconds))
            state.last = now
        }
    }
}

/// How long a stage took.
public struct StageTime: Hashable, Sendable {
    /// The stage's name in the report.
    public var stage: String
    /// Seconds.
    public var seconds: Double
}
