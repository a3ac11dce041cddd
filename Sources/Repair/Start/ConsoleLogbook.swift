import HostTools
import Synchronization

/// What the console said so far; shared by those who read it and those who look.
final class ConsoleLogbook: Sendable {
    private struct State {
        var reading = ConsoleReading()
        var hasEnded = false
    }

    private let state = Mutex(State())

    /// Reads the next chunk; gives what is known then.
    func read(_ bytes: [UInt8]) -> BootEvidence.Verdict {
        state.withLock { state in
            state.reading.read(bytes)
            return state.reading.verdict
        }
    }

    /// libvirt said that the guest was restarted.
    func restart() { state.withLock { $0.reading.restart() } }

    /// The console has said its last.
    func end() { state.withLock { $0.hasEnded = true } }

    /// It was opened again; what was said between is lost, and no line is made of two.
    func goOn() {
        state.withLock { state in
            state.hasEnded = false
            state.reading.read([UInt8(ascii: "\n")])
        }
    }

    /// Waits for the console's end: it is read by another task, and libvirt's word that a guest is off may come first.
    func end(within limit: Duration) async {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline, !state.withLock({ $0.hasEnded }) {
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }

    /// What it proves.
    var verdict: BootEvidence.Verdict { state.withLock { $0.reading.verdict } }

    /// Long work that the guest does before it is up.
    var work: String? { state.withLock { $0.reading.work } }

    /// Its last line that isn't blank.
    var lastLine: String? { state.withLock { $0.reading.lastLine } }

    /// What it said last of a guest that has ended, behind other words: the proof why, or else the last line; "" where it said
    /// nothing.
    var lastWords: String {
        switch verdict {
        case .dead(let proof), .failed(let proof): "; its console's last words: \(proof.words)"
        case .booted, .nothing: lastLine.map { "; its console's last line: \($0)" } ?? ""
        }
    }

    /// Writes it to the run's folder; nil where there is nothing to write.
    func save(in folder: String) -> String? {
        let text = state.withLock { $0.reading.transcript }
        guard !text.isEmpty else { return nil }
        let path = "\(folder)/console.log"
        return (try? Files.write(Array(text.utf8), to: path)).map { path }
    }
}
