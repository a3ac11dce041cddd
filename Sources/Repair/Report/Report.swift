public import FoundationEssentials
import HostTools
import Libvirt

/// What a whole run has to say. Pure: made of values, turned into JSON or text.
public struct Report: Sendable {
    /// Version of the JSON's shape; a field is added without changing it, never removed or given another meaning.
    public static let schemaVersion = 1

    /// Version of the program.
    public var version: String
    /// Name of this host.
    public var host: String
    /// URI of the libvirt connection.
    public var connection: String
    /// When the run began and ended.
    public var startedAt: Date
    /// When the run ended.
    public var finishedAt: Date
    /// A row for each domain.
    public var domains: [DomainOutcome]
    /// Why no domain could be looked at; nil where they could.
    public var problem: String?
    /// Bits that no domain's row explains.
    public var additionalStatus: ExitStatus = []

    /// Makes a report.
    public init(
        version: String, host: String, connection: String, startedAt: Date, finishedAt: Date,
        domains: [DomainOutcome], additionalStatus: ExitStatus = []
    ) {
        self.version = version
        self.host = host
        self.connection = connection
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.domains = domains
        self.additionalStatus = additionalStatus
    }

    /// The process's exit status.
    public var exitStatus: ExitStatus {
        ExitStatus(domains).union(additionalStatus).union(problem == nil ? [] : .operational)
    }

    /// The report as one JSON document, with a newline at its end.
    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return String(decoding: try encoder.encode(Document(self)), as: UTF8.self) + "\n"
    }
}

/// The JSON's shape. Optional fields are left out where nothing is known.
private struct Document: Encodable {
    struct Domain: Encodable {
        var name: String
        var uuid: String?
        var state: String?
        var stateReason: String?
        var outcome: String
        var message: String
        var warnings: [String]
        var engine: String?
        var engineReason: String?
        var disks: [Disk]
        var committed: Bool
        var seconds: [String: Double]
        var boot: Boot
        var log: String?
        var diagnosis: [String]?
    }

    struct Disk: Encodable {
        var target: String
        var source: String
        var format: String
        var plan: String
        var image: Image
        var volumes: [Volume]
    }

    struct Image: Encodable {
        var outcome: String
    }

    struct Volume: Encodable {
        var name: String
        var type: String
        var label: String?
        var uuid: String?
        var size: UInt64
        var outcome: String
        var message: String
        var reason: Reason?
        var loss: Loss?
        var keptOverlays: [String]?
        var exitStatus: Int32?
        var seconds: Double
        var log: String?
    }

    struct Reason: Encodable {
        var code: String
    }

    /// What was counted is left out where nothing could be.
    struct Loss: Encodable {
        var level: String
        var before: Int?
        var after: Int?
        var reconnected: Int?
        var moved: Int?
        var altered: Int?
        var gone: Int?
        var doubtful: Int?
        var newRoot: Bool?
        var incomplete: Bool?
        var problem: String?
    }

    var schemaVersion = Report.schemaVersion
    var version: String
    var host: String
    var connection: String
    var startedAt: Date
    var finishedAt: Date
    var exitStatus: Int32
    var domains: [Domain]
    var problem: String?

    init(_ report: Report) {
        version = report.version
        host = report.host
        connection = report.connection
        startedAt = report.startedAt
        finishedAt = report.finishedAt
        exitStatus = report.exitStatus.rawValue
        domains = report.domains.map(Domain.init)
        problem = report.problem
    }
}

extension Document.Domain {
    fileprivate init(_ outcome: DomainOutcome) {
        self.init(
            name: outcome.name, uuid: outcome.uuid, state: outcome.state?.rawValue,
            stateReason: outcome.stateReason?.rawValue, outcome: outcome.outcome.rawValue, message: outcome.message,
            warnings: outcome.plan?.warnings ?? [], engine: outcome.plan?.engine?.rawValue,
            engineReason: outcome.plan?.engineReason,
            disks: outcome.plan?.disks.map { Document.Disk($0, volumes: outcome.volumes) } ?? [],
            committed: outcome.isCommitted,
            seconds: Dictionary(outcome.seconds.map { ($0.stage, $0.seconds.rounded(to: 3)) }, uniquingKeysWith: +),
            boot: outcome.boot ?? .notStarted(""), log: outcome.log, diagnosis: outcome.diagnosis)
    }
}

extension Document.Disk {
    fileprivate init(_ disk: DiskPlan, volumes: [VolumeResult]) {
        self.init(
            target: disk.target, source: disk.path, format: disk.format, plan: disk.handling.words,
            image: Document.Image(outcome: (disk.check ?? .notChecked).rawValue),
            volumes: volumes.filter { $0.volume.disk == disk.target }.map(Document.Volume.init))
    }
}

extension Document.Volume {
    fileprivate init(_ result: VolumeResult) {
        self.init(
            name: result.volume.name, type: result.volume.type, label: result.volume.label, uuid: result.volume.uuid,
            size: result.volume.size, outcome: result.outcome.rawValue, message: result.message,
            reason: result.reason.map { Document.Reason(code: $0.rawValue) }, loss: result.loss.map(Document.Loss.init),
            keptOverlays: result.keptOverlays.isEmpty ? nil : result.keptOverlays, exitStatus: result.exitStatus,
            seconds: result.seconds.rounded(to: 3), log: result.log)
    }
}

extension Document.Loss {
    fileprivate init(_ loss: Loss) {
        level = loss.level.rawValue
        switch loss.evidence {
        case .counted(let count):
            (before, after, reconnected, moved) = (count.before, count.after, count.reconnected, count.moved)
            (altered, gone, doubtful) = (count.altered, count.gone, count.doubtful)
            (newRoot, incomplete) = (count.hasNewRoot, count.isIncomplete || count.hasLostJournal)
        case .checkersWords(let problem): self.problem = problem
        }
    }
}

extension DiskPlan.Handling {
    /// What will be done, in words.
    public var words: String {
        switch self {
        case .repair: "check and repair"
        case .checkOnly(let why): "check only: \(why)"
        case .skip(let why): "skip: \(why)"
        }
    }
}

extension Double {
    fileprivate func rounded(to digits: Int) -> Double {
        let factor = (0..<digits).reduce(1.0) { product, _ in product * 10 }
        return (self * factor).rounded() / factor
    }
}
