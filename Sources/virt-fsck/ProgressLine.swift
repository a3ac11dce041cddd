import Repair
import Synchronization

/// What is being done, a line each on standard error.
final class ProgressLine: Sendable {
    private let isShown: Bool
    private let last = Mutex("")

    init(isShown: Bool) {
        self.isShown = isShown
    }

    func show(_ event: ProgressEvent) {
        guard isShown else { return }
        let line = "\(event.domain.escapedForTerminal): \(event.text.escapedForTerminal)"
        let isNew = last.withLock { last in
            defer { last = line }
            return last != line
        }
        if isNew { Terminal.error("\(line)\n") }
    }
}
