import FoundationEssentials
import HostTools
import SystemPackage

/// The folders of one run on one domain: they are made for it, and everything but the log is removed after it.
struct RunFolders: Sendable {
    /// Names this run: overlays, mappings and folders carry it. Letters and digits.
    let run: String
    /// Sockets and FUSE files; only root can look into it.
    let runtime: String
    /// Device nodes that checkers get to see. Not under /run, which systemd mounts `nodev`.
    let devices: String
    /// What the checkers printed; stays.
    let log: String

    /// Makes the folders.
    static func with<Value: Sendable>(
        domain: String, logFolder: String, _ body: (RunFolders) async throws -> Value
    ) async throws -> Value {
        let run = String(UUID().uuidString.lowercased().filter { $0 != "-" }.prefix(12))
        let folders = RunFolders(
            run: run, runtime: "/run/virt-fsck/\(run)", devices: "/dev/virt-fsck/\(run)",
            log: "\(logFolder)/\(FileName.safe(domain))-\(Files.timestamp())-\(run)")
        return try await scoped {
            for folder in [folders.runtime, folders.devices, folders.log] { try Files.makeFolder(folder) }
            return try await body(folders)
        } close: {
            for folder in [folders.runtime, folders.devices] { try Files.removeFolder(folder) }
        }
    }

    /// Keeps other runs from a domain until it is released.
    ///
    /// - Throws: ``DomainProblem`` while another run works on it.
    static func lock(_ uuid: String, name: String) throws -> FileLock {
        try Files.makeFolder("/run/virt-fsck")
        guard let lock = try FileLock.take("/run/virt-fsck/\(FileName.safe(uuid)).lock") else {
            throw DomainProblem(
                "\(name): another virt-fsck is working on it; wait until that has ended", kind: .refusal)
        }
        return lock
    }

    /// Opens the run's own log for appending.
    func openLog(_ name: String) throws -> FileDescriptor {
        try FileDescriptor.open(
            FilePath("\(log)/\(name).log"), .writeOnly, options: [.create, .append, .closeOnExec],
            permissions: [.ownerReadWrite])
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
}
