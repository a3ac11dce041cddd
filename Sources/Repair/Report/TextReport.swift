import HostTools
import Libvirt

/// The report for a person: what is broken, what was done, what to do next. Pure.
public struct TextReport: Hashable, Sendable {
    /// How much is said.
    public enum Verbosity: Hashable, Sendable {
        case normal
        case verbose
    }

    /// For standard output.
    public let results: String
    /// For standard error: why something was refused or failed.
    public let problems: String

    /// Renders a report.
    public init(_ report: Report, verbosity: Verbosity) {
        var results: [String] = []
        var problems: [String] = []
        for domain in report.domains {
            switch domain.outcome {
            case .refused, .failed:
                problems += domain.message.split(separator: "\n").map {
                    // What stands alone elsewhere says its domain's name itself.
                    let words = String($0).removingPrefix("\(domain.name): ")
                    return Self.line(domain, "\(domain.outcome.rawValue): \(words)")
                }
                if !domain.volumes.isEmpty { results += Self.found(domain, verbosity) }
            case .planned where !domain.message.isEmpty: results.append(Self.line(domain, domain.message))
            case .planned: results += Self.plan(domain)
            default: results += Self.lines(domain, verbosity)
            }
            for warning in domain.plan?.warnings ?? [] { problems.append(Self.line(domain, "warning: \(warning)")) }
        }
        if let problem = report.problem { problems.append(problem.escapedForTerminal) }
        if report.domains.isEmpty, report.problem == nil { results.append("no domain has failed") }
        if report.domains.count > 1 { results.append(Self.summary(report.domains)) }
        self.results = results.map { $0 + "\n" }.joined()
        self.problems = problems.map { $0 + "\n" }.joined()
    }

    /// `20 domains: 18 repaired, 2 refused`
    private static func summary(_ domains: [DomainOutcome]) -> String {
        var counts: [(outcome: DomainOutcome.Outcome, count: Int)] = []
        for domain in domains {
            if let index = counts.firstIndex(where: { $0.outcome == domain.outcome }) {
                counts[index].count += 1
            } else {
                counts.append((domain.outcome, 1))
            }
        }
        let words = counts.sorted { $0.count > $1.count }.map { "\($0.count) \($0.outcome.rawValue)" }
        return "\(domains.count) domains: \(words.joined(separator: ", "))"
    }

    private static func line(_ domain: DomainOutcome, _ text: String) -> String {
        "\(domain.name.escapedForTerminal): \(text.escapedForTerminal)"
    }

    /// What was found out before something failed.
    private static func found(_ domain: DomainOutcome, _ verbosity: Verbosity) -> [String] {
        [line(domain, "what was found before:")] + volumes(domain, verbosity)
    }

    private static func lines(_ domain: DomainOutcome, _ verbosity: Verbosity) -> [String] {
        var lines = [line(domain, "\(domain.outcome.rawValue)\(domain.message.isEmpty ? "" : ": \(domain.message)")")]
        lines += volumes(domain, verbosity)
        if verbosity == .verbose {
            let stages = domain.seconds.map { "\($0.stage) \(Seconds.words($0.seconds))" }.joined(separator: ", ")
            lines.append("  stages: \(stages)")
            if let plan = domain.plan, let engine = plan.engine {
                lines.append("  engine: \(engine.rawValue) (\(plan.engineReason)), mapping: \(plan.mapping.rawValue)")
            }
        }
        lines += next(domain).map { "  \($0.escapedForTerminal)" }
        return lines
    }

    /// A line for each volume.
    private static func volumes(_ domain: DomainOutcome, _ verbosity: Verbosity) -> [String] {
        var lines: [String] = []
        let nameWidth = (domain.volumes.map { $0.volume.name.escapedForTerminal.count }.max() ?? 0)
        let typeWidth = domain.volumes.map { $0.volume.type.count }.max() ?? 0
        for result in domain.volumes {
            let name = result.volume.name.escapedForTerminal.padded(to: nameWidth)
            let type = result.volume.type.escapedForTerminal.padded(to: typeWidth)
            let size = ByteCount.words(result.volume.size)
            var text = "  \(name)  \(type)  \(size.leftPadded(to: 9))  \(result.outcome.rawValue)"
            if !result.message.isEmpty { text += ": \(result.message.escapedForTerminal)" }
            lines.append(text)
            let wantsLog = verbosity == .verbose || result.outcome == .unrepaired
            if wantsLog, let log = result.log { lines.append("    log: \(log.escapedForTerminal)") }
            lines += result.keptOverlays.map { "    kept: \($0.escapedForTerminal)" }
        }
        return lines
    }

    /// What to do now.
    private static func next(_ domain: DomainOutcome) -> [String] {
        var lines: [String] = []
        let repairable = domain.volumes.filter { $0.outcome == .repairable }
        if repairable.contains(where: { $0.reason == nil }) { lines.append("next: virt-fsck repair \(domain.name)") }
        if repairable.contains(where: { $0.reason == .heavyLoss }) {
            lines.append(
                "next: a backup of \(domain.name) may hold more; to take the repair with its heavy loss: "
                    + "virt-fsck repair --allow \(Allowance.heavyLoss.rawValue) \(domain.name)")
        }
        let kept = Set(repairable.flatMap(\.keptOverlays)).sorted()
        if !kept.isEmpty {
            lines.append(
                "to see what it would be, as long as nobody writes to the disk: "
                    + kept.map { "qemu-nbd --read-only --connect=/dev/nbd0 \($0)" }.joined(separator: "; "))
        }
        if repairable.isEmpty, domain.outcome == .unrepaired {
            lines.append("the disks are as they were; look at the logs, or restore from a backup")
        }
        if let boot = domain.boot {
            switch boot.outcome {
            case .notStarted: if !boot.evidence.isEmpty { lines.append("not started: \(boot.evidence)") }
            case .unknown: lines.append("started: \(boot.evidence); look: virsh console \(domain.name)")
            case .failed: lines.append("start failed: \(boot.evidence)")
            case .booted: lines.append("booted: \(boot.evidence)")
            }
        }
        lines += (domain.diagnosis ?? []).map { "look: \($0)" }
        return lines
    }

    private static func plan(_ domain: DomainOutcome) -> [String] {
        guard let plan = domain.plan else { return [] }
        var lines = [line(domain, "\(plan.state.rawValue) (\(plan.stateReason.rawValue)); would be done:")]
        if plan.powersOff { lines.append("  power it off (\(plan.state.rawValue))") }
        for disk in plan.disks {
            lines.append(
                "  \(disk.target.escapedForTerminal)  \(disk.handling.words)  "
                    + "\(disk.path.escapedForTerminal) (\(disk.format.escapedForTerminal), \(ByteCount.words(disk.size)))"
            )
        }
        if let engine = plan.engine {
            lines.append("  engine: \(engine.rawValue) (\(plan.engineReason)), mapping: \(plan.mapping.rawValue)")
        }
        return lines
    }
}

/// Sizes for people.
enum ByteCount {
    /// `512 B`, `1.5 GiB`.
    static func words(_ bytes: UInt64) -> String {
        guard bytes >= 1024 else { return "\(bytes) B" }
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(bytes) / 1024
        var unit = 0
        while value >= 1023.95, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}

/// Times for people.
enum Seconds {
    /// `0.12 s`.
    static func words(_ seconds: Double) -> String {
        let hundredths = Int((seconds * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100) s"
    }

    /// `40 s`, `5 min`, `2 h 5 min`.
    static func longWords(_ seconds: Double) -> String {
        let whole = Int(seconds)
        guard whole >= 120 else { return "\(whole) s" }
        guard whole >= 7200 else { return "\(whole / 60) min" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }
}

extension String {
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }

    fileprivate func leftPadded(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }
}
