import FoundationEssentials

/// One file of a backing chain, as its own header describes it.
public struct ImageInfo: Hashable, Sendable, Codable {
    /// Path as given or as the layer above names it; never canonicalised.
    public var path: String
    /// QEMU's name of the format: `qcow2`, `raw`.
    public var format: String
    /// Size that the guest sees, in bytes.
    public var virtualSize: UInt64
    /// Bytes that the file takes on its filesystem.
    public var actualSize: UInt64
    /// The layer below: path and the format that this header records for it.
    public var backing: Backing?
    /// Whether its content is encrypted (by LUKS or the old qcow2 way).
    public var isEncrypted: Bool
    /// Whether the header's corrupt bit is set: QEMU then refuses to write.
    public var isMarkedCorrupt: Bool
    /// Names of the internal snapshots.
    public var snapshots: [String]
    /// Names of the persistent dirty bitmaps.
    public var bitmaps: [String]
    /// An external data file (qcow2's `data-file`), where it has one.
    public var dataFile: String?

    /// Where a layer's missing clusters come from.
    public struct Backing: Hashable, Sendable, Codable {
        /// Absolute path.
        public var path: String
        /// The recorded format; nil where the header has none, so that one would have to probe.
        public var format: String?

        /// Describes a layer.
        public init(path: String, format: String?) {
            self.path = path
            self.format = format
        }
    }
}

/// What `qemu-img check` found in an image's own metadata.
public enum ImageCheck: String, Hashable, Sendable, Codable {
    /// No error.
    case clean
    /// Clusters that nobody uses: they waste space and harm nothing.
    case leaks
    /// Wrong reference counts or tables: writing through it could destroy more.
    case corrupt
    /// A format without such a check (raw).
    case notChecked = "not-checked"
}

/// Questions to `qemu-img(1)`. The format is always given, never probed.
public struct QemuImage: Sendable {
    private let runner: any CommandRunner

    /// Asks through `runner`.
    public init(runner: any CommandRunner) {
        self.runner = runner
    }

    /// What is opened to look at an image.
    public enum Opening: Hashable, Sendable {
        /// It and the layers below that its header names.
        case chain
        /// It and nothing else.
        case imageAlone
    }

    /// Reads one layer's header. Works while a domain uses the image.
    ///
    /// - Parameter path: absolute: a relative name with a colon would be taken for a protocol.
    /// - Throws: ``CommandError``; QEMU's own words where the file is missing, unreadable or of another format.
    public func info(path: String, format: String) async throws(CommandError) -> ImageInfo {
        let command = Command("qemu-img", "info", "--force-share", "--output=json", "-f", format, path)
        let text = try await runner.output(of: command)
        guard let json = try? JSONValue(parsing: text), let info = ImageInfo(path: path, json: json) else {
            throw .broken(command: command.description, reason: "unexpected answer: \(text.prefix(200))")
        }
        return info
    }

    /// Checks an image's metadata; nobody may have it open for writing.
    ///
    /// - Parameter opening: with `.imageAlone` nothing is opened that its header names.
    /// Exit statuses are those of qemu-img(1): 0 no error, 2 corrupt, 3 leaks, 63 no check for this format.
    public func check(
        path: String, format: String, opening: Opening = .chain
    ) async throws(CommandError) -> ImageCheck {
        let name = opening == .chain ? ["-f", format, path] : [try Self.alone(path, format: format)]
        let command = Command("qemu-img", ["check", "--output=json"] + name, timeout: .seconds(3600))
        let result = try await runner.run(command)
        switch result.status {
        case .exited(0): return .clean
        case .exited(2): return .corrupt
        case .exited(3): return .leaks
        case .exited(63): return .notChecked
        default:
            throw .failed(command: command.description, status: result.status, complaint: result.complaint)
        }
    }

    /// What a qcow2 image holds itself, and not the layers below it, which are not opened. Works while a storage daemon writes to
    /// it, as long as what is asked about was flushed.
    ///
    /// - Returns: ranges of the disk that the guest sees, in bytes, in order.
    /// - Throws: ``CommandError``.
    public func allocatedRanges(ofOverlay path: String) async throws(CommandError) -> [Range<UInt64>] {
        let command = Command(
            "qemu-img", ["map", "--force-share", "--output=json", try Self.alone(path, format: "qcow2")],
            timeout: .seconds(600), outputLimit: 512 << 20)
        let text = try await runner.output(of: command)
        let answer = try? JSONValue(parsing: text)
        var ranges: [Range<UInt64>] = []
        for element in answer?.elements ?? [] {
            guard let start = element["start"]?.integer.flatMap(UInt64.init(exactly:)),
                let length = element["length"]?.integer.flatMap(UInt64.init(exactly:)),
                case (let end, false) = start.addingReportingOverflow(length), let isPresent = element["present"]?.bool
            else { throw .broken(command: command.description, reason: "unexpected answer: \(text.prefix(200))") }
            if isPresent { ranges.append(start..<end) }
        }
        guard answer?.elements.isEmpty == false else {
            throw .broken(command: command.description, reason: "unexpected answer: \(text.prefix(200))")
        }
        return ranges
    }

    /// The name of one layer without those below it: QEMU opens nothing that its header names.
    private static func alone(_ path: String, format: String) throws(CommandError) -> String {
        var members: [String: JSONValue] = ["driver": .string(format), "file": Self.file(path)]
        if format == "qcow2" { members["backing"] = .null }
        do {
            return "json:\(try JSONValue.object(members).text)"
        } catch {
            throw .broken(command: "qemu-img", reason: "\(path): can't be said in JSON: \(error)")
        }
    }

    /// How QEMU opens the file or block device at a path; no protocol is looked for in its name.
    static func file(_ path: String) -> JSONValue {
        let isDevice = (try? FileStatus(of: path))?.kind == .blockDevice
        return ["driver": isDevice ? "host_device" : "file", "filename": .string(path)]
    }
}

extension ImageInfo {
    /// Reads the answer of `qemu-img info --output=json`; nil where something essential is missing.
    init?(path: String, json: JSONValue) {
        guard let format = json["format"]?.string,
            let virtualSize = json["virtual-size"]?.integer.flatMap(UInt64.init(exactly:))
        else { return nil }
        let data = json["format-specific"]?["data"]
        self.init(
            path: path, format: format, virtualSize: virtualSize,
            actualSize: json["actual-size"]?.integer.flatMap(UInt64.init(exactly:)) ?? 0,
            backing: (json["full-backing-filename"] ?? json["backing-filename"])?.string.map {
                Backing(path: $0, format: json["backing-filename-format"]?.string)
            },
            isEncrypted: json["encrypted"]?.bool ?? false || format == "luks",
            isMarkedCorrupt: data?["corrupt"]?.bool ?? false,
            snapshots: json["snapshots"]?.elements.compactMap { $0["name"]?.string } ?? [],
            bitmaps: data?["bitmaps"]?.elements.compactMap { $0["name"]?.string } ?? [],
            dataFile: data?["data-file"]?.string)
    }
}
