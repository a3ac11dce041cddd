import Repair
import Synchronization

/// What is being done, a line each on standard error; and that it goes on, where a step takes long.
final class ProgressLine: Sendable {
    private let isShown: Bool
    private let log = Mutex(ProgressLog())

    init(isShown: Bool) {
        self.isShown = isShown
    }

    func show(_ event: ProgressEvent) {
        if let line = log.withLock({ $0.take(event) }) { print([line]) }
    }

    /// Says that a domain's work is over.
    func end(_ domain: String, _ words: String) {
        show(ProgressEvent(domain: domain, text: words))
        log.withLock { $0.end(domain) }
    }

    /// Says now and then that the work goes on.
    func reminding<Value: Sendable>(_ work: () async -> Value) async -> Value {
        let clock = Task {
            while true {
                try await Task.sleep(for: .seconds(5))
                print(log.withLock { $0.reminders() })
            }
        }
        defer { clock.cancel() }
        return await work()
    }

    private func print(_ lines: [String]) {
        guard isShown else { return }
        for line in lines { Terminal.error("\(line)\n") }
    }
}
