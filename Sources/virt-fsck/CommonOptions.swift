public import ArgumentParser
public import HostTools
public import Repair

/// The options of the verbs that take domains the whole way.
struct CommonOptions: ParsableArguments {
    @OptionGroup var selection: Selection

    @OptionGroup var session: Session

    @Option(help: "How disks are attached: auto, nbd or fuse.")
    var engine = EngineChoice.auto

    @Flag(help: "Only say what would be done.")
    var dryRun = false

    @Option(help: ArgumentHelp("Folder for overlays, where beside the disk is no room.", valueName: "dir"))
    var scratchDir: String?

    @Option(
        help: ArgumentHelp(
            "Folder for the overlay of a repair that would lose much, to look into it.", valueName: "dir"))
    var keepOverlay: String?

    @Option(
        help: ArgumentHelp(
            "Allow what can lose data: \(Allowance.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "what"))
    var allow: [Allowance] = []

    mutating func validate() throws {
        if let scratchDir {
            guard scratchDir.hasPrefix("/") else {
                throw ValidationError("--scratch-dir: '\(scratchDir)' is not an absolute path")
            }
            // libvirt writes such characters as blanks into its own XML.
            guard scratchDir.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
                throw ValidationError("--scratch-dir: a name with control characters can't be in a domain's XML")
            }
            // The domain's XML will name it: a link may lead elsewhere by then, and /proc does so in every process.
            self.scratchDir = Files.realPath(of: scratchDir)
        }
        if let keepOverlay {
            guard keepOverlay.hasPrefix("/") else {
                throw ValidationError("--keep-overlay: '\(keepOverlay)' is not an absolute path")
            }
            guard (try? FileStatus(of: keepOverlay))?.kind == .directory else {
                throw ValidationError("--keep-overlay: '\(keepOverlay)' is not a folder")
            }
            if let problem = Files.writeProblem(keepOverlay) { throw ValidationError("--keep-overlay: \(problem)") }
        }
    }

    /// The options for the pipeline.
    func options(_ mode: Options.Mode) -> Options {
        var options = Options()
        options.mode = mode
        options.engine = engine.kind
        options.scratchFolder = scratchDir
        options.keptOverlayFolder = keepOverlay
        options.allowances = Set(allow)
        options.program = OwnProgram.current
        return options
    }
}

/// `--engine`.
enum EngineChoice: String, ExpressibleByArgument, CaseIterable {
    case auto
    case nbd
    case fuse

    var kind: EngineKind? {
        switch self {
        case .auto: nil
        case .nbd: .nbd
        case .fuse: .fuse
        }
    }
}

extension Allowance: ExpressibleByArgument {}
extension Options.CommitPolicy: ExpressibleByArgument {}
extension Options.StartPolicy: ExpressibleByArgument {}
