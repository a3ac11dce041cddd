public import FoundationEssentials

/// What `virt-fsck recover` has to say. Pure: made of values, turned into JSON or text.
public struct RecoveryReport: Sendable {
    /// Version of the program.
    public var version: String
    /// Name of this host.
    public var host: String
    /// URI of the libvirt connection.
    public var connection: String
    /// When the recovery began.
    public var startedAt: Date
    /// When it ended.
    public var finishedAt: Date
    /// A row for each interrupted run.
    public var runs: [RecoveryOutcome]
    /// Why nothing could be looked at; nil where it could.
    public var problem: String?

    /// Makes a report.
    public init(
        version: String, host: String, connection: String, startedAt: Date, finishedAt: Date, runs: [RecoveryOutcome],
        problem: String? = nil
    ) {
        self.version = version
        self.host = host
        self.connection = connection
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.runs = runs
        self.problem = problem
    }

    /// The process's exit status: 8 where something is left to be recovered.
    public var exitStatus: ExitStatus {
        problem != nil || runs.contains { $0.outcome == .left } ? .operational : []
    }

    /// For standard output: the runs that came to their end.
    public var results: String {
        if runs.isEmpty, problem == nil { return "no run was interrupted\n" }
        return lines { $0.outcome != .left && $0.outcome != .busy }
    }

    /// For standard error: what could not be recovered, and why.
    public var problems: String {
        lines { $0.outcome == .left || $0.outcome == .busy } + (problem.map { $0.escapedForTerminal + "\n" } ?? "")
    }

    private func lines(_ isWanted: (RecoveryOutcome) -> Bool) -> String {
        runs.filter(isWanted).map { run in
            // What stands alone elsewhere says its domain's name itself.
            let words = run.message.removingPrefix("\(run.name): ")
            return "\(run.name): \(run.outcome.rawValue): \(words)".escapedForTerminal + "\n"
        }.joined()
    }

    /// The report as one JSON document, with a newline at its end.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}

extension RecoveryReport: Encodable {
    private enum CodingKeys: CodingKey {
        case schemaVersion, version, host, connection, startedAt, finishedAt, exitStatus, runs, problem
    }

    /// The JSON's shape.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(Report.schemaVersion, forKey: .schemaVersion)
        try container.encode(version, forKey: .version)
        try container.encode(host, forKey: .host)
        try container.encode(connection, forKey: .connection)
        try container.encode(startedAt, forKey: .startedAt)
        try container.encode(finishedAt, forKey: .finishedAt)
        try container.encode(exitStatus.rawValue, forKey: .exitStatus)
        try container.encode(runs, forKey: .runs)
        try container.encodeIfPresent(problem, forKey: .problem)
    }
}
