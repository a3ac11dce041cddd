import HostTools
import Libvirt

/// Starts a domain, and watches what proves that its guest is up, or that it isn't: its console, its agent, libvirt's events.
struct BootWatch: Sendable {
    let connection: Connection
    let domain: DomainID
    /// For how long to wait for a proof; zero leaves at once.
    let timeout: Duration
    /// Folder for what the console said and for a picture of the screen.
    let log: String
    let progress: @Sendable (String) -> Void
    /// Told when it was started, and nothing is left to do but to wait.
    let whenWaiting: @Sendable () -> Void

    /// A guest that nobody can hear is watched only for a crash.
    private static let deafTimeout = Duration.seconds(15)
    /// A failure that somebody could still mend (a shell that waits) counts when it lasted so long.
    private static let grace = Duration.seconds(5)
    /// A failure that nobody can mend counts when its line has come to its end: why it panicked stands behind that it did.
    private static let restOfLine = Duration.milliseconds(500)
    /// What a guest that has crashed or is off said last is on its way still; its console ends when all of it is here.
    private static let endOfConsole = Duration.seconds(5)
    /// A libvirtd that is restarted is back by then.
    private static let restartTimeout = Duration.seconds(60)
    private static let screenshotLimit = 64 << 20

    /// What a channel gave.
    private enum Finding: Sendable {
        /// Something is known.
        case known(Boot.Outcome, String)
        /// Nothing in time.
        case timeout
        /// libvirt tells nothing any more.
        case disconnected
    }

    /// libvirt waits for a reader where it opens one, and whoever asks it for anything else then waits for libvirt.
    private static func refuseFIFO(in description: DomainDescription) throws {
        for path in description.outputFiles where path.hasPrefix("/") && (try? FileStatus(of: path))?.kind == .fifo {
            throw DomainProblem(
                "\(path): is a FIFO, and libvirt would wait there for a reader of what the guest says; give it another place: "
                    + "virsh edit")
        }
    }

    /// Starts it and says what was proven.
    ///
    /// - Returns: also the connection to go on with: another one where libvirtd was restarted meanwhile.
    func run() async -> (boot: Boot, connection: Connection) {
        let begin = ContinuousClock.now
        var boot = Boot(outcome: .unknown, evidence: "", seconds: 0)
        let reading = ConsoleLogbook()
        var connection = connection
        do {
            let xml = try await connection.xml(of: domain, .inactive)
            try Self.refuseFIFO(in: try DomainDescription(xml: xml))
            let channels = try EvidenceChannels(xml: xml)
            let events = try await connection.lifecycleEvents()
            // Paused, so that no line of the console is lost.
            try await connection.start(domain, .paused)
            let console = channels.hasConsole ? try? await connection.openConsole(domain) : nil
            var link = BootLink(connection: connection, console: console, events: events)
            let resumption = try await link.resumption(of: domain)
            try await connection.resume(domain)
            guard timeout > .zero else {
                boot.evidence = "libvirt says running; whether the guest boots was not waited for"
                return (boot, connection)
            }
            progress("started; waiting for proof that it boots")
            whenWaiting()
            let isDeaf = console == nil && !channels.hasAgent
            let limit = isDeaf ? min(timeout, Self.deafTimeout) : timeout
            let deadline = ContinuousClock.now + limit
            var finding = await first(until: deadline, link, channels, reading)
            if case .disconnected = finding {
                progress("the connection to libvirt broke: waiting for libvirtd")
                switch await resumption.link(until: min(deadline, .now + Self.restartTimeout)) {
                case .again(let next)?:
                    progress("libvirtd is back; waiting for proof that it boots")
                    (link, connection) = (next, next.connection)
                    reading.goOn()
                    finding = await first(until: deadline, link, channels, reading)
                case .off(let next)?:
                    connection = next
                    finding = .known(.failed, "it went off while libvirtd was gone" + reading.lastWords)
                case .another(let next, let what)?: (connection, finding) = (next, .known(.unknown, what))
                case nil: break
                }
            }
            switch finding {
            case .known(let outcome, let evidence): (boot.outcome, boot.evidence) = (outcome, evidence)
            case .disconnected: boot.evidence = "the connection to libvirt broke before there was proof"
            case .timeout where Task.isCancelled: boot.evidence = "cancelled before there was proof"
            case .timeout: boot.evidence = silence(limit, channels, link.console, reading)
            }
            boot.seconds = (ContinuousClock.now - begin).inSeconds
            boot.console = reading.save(in: log)
            if boot.outcome != .booted, channels.hasScreen { boot.screenshot = try? await screenshot(connection) }
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
        return (boot, connection)
    }

    /// The first finding of any channel.
    private func first(
        until deadline: ContinuousClock.Instant, _ link: BootLink, _ channels: EvidenceChannels,
        _ reading: ConsoleLogbook
    ) async -> Finding {
        await withTaskGroup(of: Finding.self) { group in
            group.addTask {
                try? await Task.sleep(until: deadline)
                return .timeout
            }
            group.addTask { await hear(link.events, hasConsole: link.console != nil, reading) }
            group.addTask { await waitUntilOff(link, reading) }
            group.addTask { await waitForLastingFailure(reading) }
            if let console = link.console { group.addTask { await read(console, into: reading) } }
            if channels.hasAgent { group.addTask { await askAgent(link.connection) } }
            defer { group.cancelAll() }
            return await group.next() ?? .timeout
        }
    }

    /// The console's proof. It goes on reading without one until it is cancelled, so that the log has everything.
    private func read(_ console: Console, into reading: ConsoleLogbook) async -> Finding {
        for await chunk in console {
            switch reading.read(chunk) {
            case .booted(let proof): return .known(.booted, proof.words)
            case .dead, .failed, .nothing: break
            }
        }
        reading.end()
        return await never()
    }

    private func waitForLastingFailure(_ reading: ConsoleLogbook) async -> Finding {
        var since: (verdict: BootEvidence.Verdict, at: ContinuousClock.Instant)?
        while !Task.isCancelled {
            let verdict = reading.verdict
            if since?.verdict != verdict { since = (verdict, .now) }
            let age = since.map { ContinuousClock.now - $0.at } ?? .zero
            switch verdict {
            case .failed(let proof) where age >= Self.grace, .dead(let proof) where age >= Self.restOfLine:
                return .known(.failed, proof.words)
            default: break
            }
            try? await Task.sleep(for: .milliseconds(200))
        }
        return .timeout
    }

    private func hear(
        _ events: AsyncStream<LifecycleEvent>, hasConsole: Bool, _ reading: ConsoleLogbook
    ) async -> Finding {
        for await event in events where event.domain == domain {
            switch event.event {
            case .crashed:
                if hasConsole { await reading.end(within: Self.endOfConsole) }
                return .known(.failed, "the guest crashed (\(event.reason.rawValue))" + reading.lastWords)
            case .stopped where event.reason == .saved:
                return .known(.unknown, "somebody has saved it (virsh managedsave)")
            case .stopped:
                if hasConsole { await reading.end(within: Self.endOfConsole) }
                return .known(.failed, "it is off again (\(event.reason.rawValue))" + reading.lastWords)
            case .suspended where event.reason == .ioError || event.reason == .watchdog:
                return .known(.failed, "it is paused (\(event.reason.rawValue))")
            case .rebooted: reading.restart()
            default: continue
            }
        }
        return Task.isCancelled ? .timeout : .disconnected
    }

    /// A libvirtd that finds a domain's process gone after its restart calls the domain running until then, and sends no event
    /// (qemuProcessReconnect). Where there is one, it comes first and says more.
    private func waitUntilOff(_ link: BootLink, _ reading: ConsoleLogbook) async -> Finding {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(5))
            guard let summary = try? await link.connection.summary(of: domain), !summary.isActive else { continue }
            if link.console != nil { await reading.end(within: Self.endOfConsole) }
            try? await Task.sleep(for: .seconds(5))
            return .known(.failed, "it is off again (\(summary.reason.rawValue))" + reading.lastWords)
        }
        return .timeout
    }

    private func askAgent(_ connection: Connection) async -> Finding {
        guard let agent = try? await GuestAgent(of: domain, on: connection) else { return await never() }
        while !Task.isCancelled {
            if await agent.answer(within: .seconds(5)) == .answered {
                return .known(.booted, "its guest agent answers")
            }
            try? await Task.sleep(for: .seconds(1))
        }
        return .timeout
    }

    /// Waits until it is cancelled: a channel without a proof must not end the watch.
    private func never() async -> Finding {
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        return .timeout
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
        if let work = reading.work {
            words.append("\(work), which may take long and ends in a restart: give it time, --boot-timeout")
        }
        if channels.hasAgent { words.append("its guest agent is silent") }
        return (words + channels.advice).joined(separator: "; ")
    }

    private func screenshot(_ connection: Connection) async throws -> String {
        let picture = try await connection.screenshot(of: domain, limit: Self.screenshotLimit)
        let path = "\(log)/screen.png"
        try Files.write(try PNG.file(of: picture.bytes), to: path)
        return path
    }
}
