import HostTools
import Libvirt
import Synchronization

/// Starts a domain, and watches what proves that its guest is up, or that it isn't: its console, its agent, libvirt's events.
struct BootWatch: Sendable {
    let connection: Connection
    let domain: DomainID
    /// For how long to wait for a proof; zero leaves at once.
    let timeout: Duration
    /// Folder for what the console said and for a picture of the screen.
    let log: String
    let progress: @Sendable (String) -> Void

    /// A guest that nobody can hear is watched only for a crash.
    private static let deafTimeout = Duration.seconds(15)
    /// A failure that somebody could still mend (a shell that waits) counts when it lasted so long.
    private static let grace = Duration.seconds(5)
    /// A failure that nobody can mend counts when its line has come to its end: why it panicked stands behind that it did.
    private static let restOfLine = Duration.milliseconds(500)
    private static let screenshotLimit = 64 << 20

    /// What is known, and when it will do.
    private struct Finding: Sendable {
        var outcome: Boot.Outcome
        var evidence: String
    }

    /// Starts it and says what was proven.
    func run() async -> Boot {
        let begin = ContinuousClock.now
        var boot = Boot(outcome: .unknown, evidence: "", seconds: 0)
        let reading = ConsoleLogbook()
        do {
            let channels = try EvidenceChannels(xml: try await connection.xml(of: domain, .inactive))
            let events = try await connection.lifecycleEvents()
            // Paused, so that no line of the console is lost.
            try await connection.start(domain, .paused)
            let console = channels.hasConsole ? try? await connection.openConsole(domain) : nil
            try await connection.resume(domain)
            guard timeout > .zero else {
                boot.evidence = "libvirt says running; whether the guest boots was not waited for"
                return boot
            }
            progress("started; waiting for proof that it boots")
            let isDeaf = console == nil && !channels.hasAgent
            let limit = isDeaf ? min(timeout, Self.deafTimeout) : timeout
            let finding = await first(of: limit, console, channels, events, reading)
            boot.outcome = finding?.outcome ?? .unknown
            boot.evidence =
                finding?.evidence
                ?? (Task.isCancelled ? "cancelled before there was proof" : silence(limit, channels, console, reading))
            boot.seconds = (ContinuousClock.now - begin).inSeconds
            boot.console = reading.save(in: log)
            if boot.outcome != .booted, channels.hasScreen { boot.screenshot = try? await screenshot() }
        } catch {
            // What a connection that broke was about to say is no word about the guest.
            let isAlive = await connection.isAlive()
            boot.outcome = isAlive ? .failed : .unknown
            boot.evidence =
                isAlive
                ? "it could not be started: \(error)"
                : "the connection to libvirt broke before there was proof: \(error)"
            boot.seconds = (ContinuousClock.now - begin).inSeconds
        }
        return boot
    }

    /// The first finding of any channel; nil after the time.
    private func first(
        of limit: Duration, _ console: Console?, _ channels: EvidenceChannels, _ events: AsyncStream<LifecycleEvent>,
        _ reading: ConsoleLogbook
    ) async -> Finding? {
        await withTaskGroup(of: Finding?.self) { group in
            group.addTask {
                try? await Task.sleep(for: limit)
                return nil
            }
            group.addTask { await hear(events) }
            if let console { group.addTask { await read(console, into: reading) } }
            if channels.hasAgent { group.addTask { await askAgent() } }
            if console != nil { group.addTask { await waitForLastingFailure(reading) } }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    /// The console's proof. It goes on reading without one until it is cancelled, so that the log has everything.
    private func read(_ console: Console, into reading: ConsoleLogbook) async -> Finding? {
        for await chunk in console {
            switch reading.read(chunk) {
            case .booted(let proof): return Finding(outcome: .booted, evidence: proof.words)
            case .dead, .failed, .nothing: break
            }
        }
        return await never()
    }

    private func waitForLastingFailure(_ reading: ConsoleLogbook) async -> Finding? {
        var since: (verdict: BootEvidence.Verdict, at: ContinuousClock.Instant)?
        while !Task.isCancelled {
            let verdict = reading.verdict
            if since?.verdict != verdict { since = (verdict, .now) }
            let age = since.map { ContinuousClock.now - $0.at } ?? .zero
            switch verdict {
            case .failed(let proof) where age >= Self.grace, .dead(let proof) where age >= Self.restOfLine:
                return Finding(outcome: .failed, evidence: proof.words)
            default: break
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
        return nil
    }

    private func hear(_ events: AsyncStream<LifecycleEvent>) async -> Finding? {
        for await event in events where event.domain == domain {
            switch event.event {
            case .crashed: return Finding(outcome: .failed, evidence: "the guest crashed (\(event.reason.rawValue))")
            case .stopped where event.reason == .saved:
                return Finding(outcome: .unknown, evidence: "somebody has saved it (virsh managedsave)")
            case .stopped: return Finding(outcome: .failed, evidence: "it is off again (\(event.reason.rawValue))")
            case .suspended where event.reason == .ioError || event.reason == .watchdog:
                return Finding(outcome: .failed, evidence: "it is paused (\(event.reason.rawValue))")
            default: continue
            }
        }
        guard !Task.isCancelled else { return nil }
        return Finding(outcome: .unknown, evidence: "libvirt's events ended: whether it boots is not known")
    }

    private func askAgent() async -> Finding? {
        guard let agent = try? await GuestAgent(of: domain, on: connection) else { return await never() }
        while !Task.isCancelled {
            if await agent.answer(within: .seconds(5)) == .answered {
                return Finding(outcome: .booted, evidence: "its guest agent answers")
            }
            try? await Task.sleep(for: .seconds(1))
        }
        return nil
    }

    /// Waits until it is cancelled: a channel without a proof must not end the watch.
    private func never() async -> Finding? {
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        return nil
    }

    private func silence(
        _ limit: Duration, _ channels: EvidenceChannels, _ console: Console?, _ reading: ConsoleLogbook
    ) -> String {
        var words = ["no proof within \(Int(limit.inSeconds)) s"]
        if console != nil {
            words.append(reading.lastLine.map { "its console's last line: \($0)" } ?? "its console said nothing")
        } else if channels.hasConsole {
            words.append("its console could not be opened: somebody has it")
        }
        if channels.hasAgent { words.append("its guest agent is silent") }
        return (words + channels.advice).joined(separator: "; ")
    }

    private func screenshot() async throws -> String {
        let picture = try await connection.screenshot(of: domain, limit: Self.screenshotLimit)
        let path = "\(log)/screen.png"
        try Files.write(try PNG.file(of: picture.bytes), to: path)
        return path
    }
}

/// What the console said so far; shared by those who read it and those who look.
private final class ConsoleLogbook: Sendable {
    private let reading = Mutex(ConsoleReading())

    func read(_ bytes: [UInt8]) -> BootEvidence.Verdict {
        reading.withLock { reading in
            reading.read(bytes)
            return reading.verdict
        }
    }

    var verdict: BootEvidence.Verdict { reading.withLock { $0.verdict } }
    var lastLine: String? { reading.withLock { $0.lastLine } }

    /// Writes it to the run's folder; nil where there is nothing to write.
    func save(in folder: String) -> String? {
        let text = reading.withLock { $0.transcript }
        guard !text.isEmpty else { return nil }
        let path = "\(folder)/console.log"
        return (try? Files.write(Array(text.utf8), to: path)).map { path }
    }
}
