public import Foundation
import Glibc

/// virt-fsck as a user runs it.
public enum VirtFsck {
    /// The program: `$VIRT_FSCK`, or the one that was built beside the tests.
    public static let program: String? = {
        if let path = ProcessInfo.processInfo.environment["VIRT_FSCK"] { return path }
        var places = [CommandLine.arguments.first ?? ""]
        if let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            places.append(link)
        }
        for place in places {
            var folder = URL(filePath: place).deletingLastPathComponent()
            for _ in 0..<3 {
                let path = folder.appending(path: "virt-fsck").path
                if FileManager.default.isExecutableFile(atPath: path), !isFolder(path) { return path }
                folder = folder.deletingLastPathComponent()
            }
        }
        let built = FileManager.default.currentDirectoryPath + "/.build/debug/virt-fsck"
        return FileManager.default.isExecutableFile(atPath: built) ? built : nil
    }()

    /// The library that stops a program before one of its calls, built beside the program; see
    /// `Tests/KillSwitch/KillSwitch.c`.
    public static let killSwitch: String? = program.flatMap { program in
        let path = URL(filePath: program).deletingLastPathComponent().appending(path: "libKillSwitch.so").path
        return FileManager.default.isReadableFile(atPath: path) ? path : nil
    }

    /// One run of it.
    public struct Run: Sendable, CustomStringConvertible {
        /// Its exit status.
        public var exitStatus: Int32
        /// The JSON document on standard output, where there is one.
        public var report: Report?
        /// Standard output.
        public var output: String
        /// Standard error.
        public var errorOutput: String
        /// How long it took, in seconds.
        public var seconds: Double
        /// The most memory that it had, in bytes.
        public var peakMemory: Int

        /// The only domain of the report.
        public var domain: Report.Domain? { report?.domains.count == 1 ? report?.domains.first : nil }
        /// A volume by its name.
        public func volume(_ name: String) -> Report.Volume? {
            report?.domains.flatMap(\.disks).flatMap(\.volumes).first { $0.name == name }
        }
        /// For the words of a failed expectation.
        public var description: String { "exit status \(exitStatus)\n\(output)\n\(errorOutput)" }
    }

    /// Runs it with the private libvirt.
    public static func run(_ arguments: [String], connect uri: String? = nil) async throws -> Run {
        try await run([], arguments + ["--connect", uri ?? PrivateLibvirt.shared.uri])
    }

    /// Runs it behind another program, such as setpriv(1), with exactly these arguments.
    public static func run(_ wrapper: [String], _ arguments: [String]) async throws -> Run {
        guard let program else { throw ToolError(description: "virt-fsck is not built") }
        let words = wrapper + [program] + arguments
        let result = try await Tool.run(words[0], Array(words.dropFirst()), measuresMemory: wrapper.isEmpty)
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return Run(
            exitStatus: result.exitStatus, report: try? decoder.decode(Report.self, from: Data(result.output.utf8)),
            output: result.output, errorOutput: result.errorOutput, seconds: result.seconds,
            peakMemory: result.peakMemory)
    }

    private static func isFolder(_ path: String) -> Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
    }
}

/// The JSON document, as the design names its fields.
public struct Report: Decodable, Sendable {
    /// Version of the document's shape.
    public var schemaVersion: Int
    /// Version of the program.
    public var version: String
    /// Name of the host.
    public var host: String
    /// libvirt's connection.
    public var connection: String
    /// When the run began.
    public var startedAt: Date
    /// When it ended.
    public var finishedAt: Date
    /// The process's exit status.
    public var exitStatus: Int32
    /// A row for each domain.
    public var domains: [Domain]

    /// A domain's row.
    public struct Domain: Decodable, Sendable {
        /// Its name.
        public var name: String
        /// Its UUID.
        public var uuid: String?
        /// Its state at the beginning.
        public var state: String?
        /// The reason of that state.
        public var stateReason: String?
        /// What came of it.
        public var outcome: String
        /// Why.
        public var message: String
        /// What else should be known.
        public var warnings: [String]?
        /// How disks were attached.
        public var engine: String?
        /// Its disks.
        public var disks: [Disk]
        /// Whether a repair was merged.
        public var committed: Bool
        /// Seconds by stage.
        public var seconds: [String: Double]
        /// Whether it came up.
        public var boot: Boot
        /// Why else it may not boot; nil where that was not asked.
        public var diagnosis: [String]?
    }

    /// A disk of a domain.
    public struct Disk: Decodable, Sendable {
        /// The guest's name for it.
        public var target: String
        /// Its path.
        public var source: String
        /// Its format.
        public var format: String
        /// What qemu-img check says.
        public var image: Image
        /// Its volumes.
        public var volumes: [Volume]
    }

    /// The image of a disk.
    public struct Image: Decodable, Sendable {
        /// clean, leaks, corrupt or not-checked.
        public var outcome: String
    }

    /// A volume on a disk.
    public struct Volume: Decodable, Sendable {
        /// `vda1` or `VolGroup00/LogVol00`.
        public var name: String
        /// libblkid's name of what it holds.
        public var type: String
        /// Its label.
        public var label: String?
        /// Its UUID.
        public var uuid: String?
        /// Its size in bytes.
        public var size: UInt64
        /// What came of it.
        public var outcome: String
        /// Why.
        public var message: String
        /// Why it is not what it could be.
        public var reason: Reason?
        /// What its repair cost.
        public var loss: Loss?
        /// Copies of the overlays that hold its repair.
        public var keptOverlays: [String]?
        /// The deciding checker's exit status.
        public var exitStatus: Int32?
        /// How long the checkers ran.
        public var seconds: Double
        /// The checkers' output.
        public var log: String?
    }

    /// A reason as a value.
    public struct Reason: Decodable, Sendable {
        /// `heavy-loss`.
        public var code: String
    }

    /// What a repair cost.
    public struct Loss: Decodable, Sendable {
        /// none, minor or heavy.
        public var level: String
        /// Files and folders of the original; nil where they could not be counted.
        public var before: Int?
        /// Those that are at their place.
        public var after: Int?
        /// Those in lost+found.
        public var reconnected: Int?
        /// Whether the root folder was made anew.
        public var newRoot: Bool?
        /// Why nothing was counted.
        public var problem: String?
    }

    /// Whether a domain came up.
    public struct Boot: Decodable, Sendable {
        /// booted, failed, unknown or not-started.
        public var outcome: String
        /// How that is known.
        public var evidence: String
        /// How long it took.
        public var seconds: Double
    }
}
