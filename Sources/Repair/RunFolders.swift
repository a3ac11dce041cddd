import FoundationEssentials
import HostTools
import SystemPackage

/// The folders of one run on one domain: they are made for it, and everything but the log is removed after it.
struct RunFolders: Sendable {
    /// Names this run: overlays, mappings and folders carry it. Letters and digits.
    let run: String
    /// When it began: UTC, as `20260131T235959Z`.
    let startedAt: String
    /// Sockets and FUSE files; only root can look into it.
    let runtime: String
    /// Device nodes that checkers get to see. Not under /run, which systemd mounts `nodev`.
    let devices: String
    /// What the checkers printed; stays.
    let log: String

    /// Makes the folders for the time of `body`.
    func made<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        try await scoped {
            for folder in [runtime, log] { try Files.makeFolder(folder) }
            // Who runs without bubblewrap has to find its node in there, which is its own.
            for folder in ["/dev/virt-fsck", devices] { try Files.makeSearchableFolder(folder) }
            return try await body()
        } close: {
            for folder in [runtime, devices] { try Files.removeFolder(folder) }
        }
    }

    /// Where a run has its sockets and FUSE files.
    static func runtime(of run: String) -> String { "/run/virt-fsck/\(run)" }
    /// Where a run has its device nodes.
    static func devices(of run: String) -> String { "/dev/virt-fsck/\(run)" }
    /// Whether a text can be the name of a run.
    static func isRunName(_ text: String) -> Bool {
        text.utf8.count == runNameLength
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }

    private static let runNameLength = 12

    /// Opens a log of this run for appending.
    func openLog(_ name: String) throws -> FileDescriptor { try Self.openLog(name, in: log) }

    /// Opens a log of a run for appending.
    static func openLog(_ name: String, in folder: String) throws -> FileDescriptor {
        try Files.makeFolder(folder)
        return try FileDescriptor.open(
            FilePath("\(folder)/\(name).log"), .writeOnly, options: [.create, .append, .closeOnExec],
            permissions: [.ownerReadWrite])
    }
}

extension RunFolders {
    /// Names the folders of a new run.
    init(domain: String, logFolder: String) {
        let run = String(UUID().uuidString.lowercased().filter { $0 != "-" }.prefix(Self.runNameLength))
        let startedAt = Files.timestamp()
        self.init(
            run: run, startedAt: startedAt, runtime: Self.runtime(of: run), devices: Self.devices(of: run),
            log: "\(logFolder)/\(FileName.safe(domain))-\(startedAt)-\(run)")
    }
}

/// File names from names that somebody else chose.
enum FileName {
    /// Letters, digits, `-`, `_` and `.` stay, everything else becomes `_`; at most 100 characters, never hidden.
    static func safe(_ name: String) -> String {
        let characters = name.unicodeScalars.prefix(100).map { scalar -> Character in
            let isLetter = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
            let isPlain = isLetter || ("0"..."9").contains(scalar) || "-_.".unicodeScalars.contains(scalar)
            return isPlain ? Character(scalar) : "_"
        }
        let text = String(characters)
        return text.isEmpty || text.hasPrefix(".") ? "_" + text : text
    }

    /// A safe name for each, in their order, of which no two are the same: `a/b_c` and `a_b/c` are two logical volumes.
    ///
    /// - Parameter taken: names that others have.
    static func distinct(_ names: [String], besides taken: Set<String> = []) -> [String] {
        var taken = taken
        return names.map { name in
            let plain = safe(name)
            var candidate = plain
            var number = 1
            while !taken.insert(candidate).inserted {
                number += 1
                candidate = "\(plain)-\(number)"
            }
            return candidate
        }
    }
}
