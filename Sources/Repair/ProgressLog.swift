/// The lines that somebody who waits sees: each step once, and of a step that lasts that it still goes on. Pure.
public struct ProgressLog: Sendable {
    private struct Step: Sendable {
        var text: String
        var began: ContinuousClock.Instant
        var shown: ContinuousClock.Instant
    }

    /// How long nothing may be said of a step, and how long at most when it lasts for hours.
    private static let patience = Duration.seconds(30)
    private static let longPatience = Duration.seconds(600)

    private var steps: [String: Step] = [:]

    /// A log without a line.
    public init() {}

    /// Takes what is being done now.
    ///
    /// - Returns: the line, without a newline and safe for a terminal; nil where it says what the one before said.
    public mutating func take(_ event: ProgressEvent, at now: ContinuousClock.Instant = .now) -> String? {
        guard steps[event.domain]?.text != event.text else { return nil }
        steps[event.domain] = Step(text: event.text, began: now, shown: now)
        return Self.line(event.domain, event.text)
    }

    /// Nothing more is done to a domain.
    public mutating func end(_ domain: String) {
        steps[domain] = nil
    }

    /// The lines about steps of which nothing was said for long, by the domains' names.
    public mutating func reminders(at now: ContinuousClock.Instant = .now) -> [String] {
        var lines: [String] = []
        for (domain, step) in steps.sorted(by: { $0.key < $1.key }) {
            let age = step.began.duration(to: now)
            // An hour's work is not told of as often as a minute's.
            let patience = max(Self.patience, min(Self.longPatience, age / 4))
            guard step.shown.duration(to: now) >= patience else { continue }
            steps[domain]?.shown = now
            lines.append(Self.line(domain, "\(step.text): \(Seconds.longWords(age.inSeconds)) so far"))
        }
        return lines
    }

    private static func line(_ domain: String, _ text: String) -> String {
        "\(domain.escapedForTerminal): \(text.escapedForTerminal)"
    }
}
