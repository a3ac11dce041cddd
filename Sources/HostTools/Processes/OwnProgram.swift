import Glibc

/// This very program as a file, for a sandboxed process of its own.
public struct OwnProgram: Hashable, Sendable {
    /// Path of the file.
    public var path: String
    /// Folders of libraries that are not where a host keeps them: those of a toolchain, when it was not linked statically.
    public var libraryFolders: [String]

    /// A program.
    public init(path: String, libraryFolders: [String] = []) {
        self.path = path
        self.libraryFolders = libraryFolders
    }

    /// The program that this process runs; nil where its file is gone, as after an update.
    public static var current: OwnProgram? {
        let path = Files.link(of: "/proc/self/exe")
        guard !path.isEmpty, Files.exists(path) else { return nil }
        return OwnProgram(path: path, libraryFolders: libraryFolders)
    }

    /// The command that runs this program behind the walls of a sandbox, which must show it (``Sandbox/Need/program(_:)``).
    public func command(
        _ arguments: [String], in sandbox: Sandbox, timeout: Duration, outputLimit: Int
    ) -> Command {
        let words = arguments.joined(separator: "\n")
        return Command(
            "env", ["\(Self.variable)=\(words)", sandbox.path(of: self)] + arguments, timeout: timeout,
            outputLimit: outputLimit)
    }

    /// The arguments of this process where it is behind such walls; nil where it is not.
    ///
    /// Swift finds the arguments in `/proc/self/cmdline` (stdlib/public/CommandLineSupport/CommandLine.cpp), and there is no
    /// `/proc`.
    public static var confinedArguments: [String]? {
        guard CommandLine.arguments.isEmpty, let words = getenv(variable) else { return nil }
        return String(cString: words).split(separator: "\n").map(String.init)
    }

    private static let variable = "VIRT_FSCK_ARGUMENTS"

    /// Folders of mapped libraries (proc_pid_maps(5)) that the sandbox does not show anyhow.
    private static var libraryFolders: [String] {
        let maps = String(decoding: Files.content(of: "/proc/self/maps", limit: 1 << 20) ?? [], as: UTF8.self)
        var folders: Set<String> = []
        for line in maps.split(separator: "\n") {
            guard let slash = line.firstIndex(of: "/"), line.contains(".so") else { continue }
            let folder = Files.folder(of: String(line[slash...]))
            let isShown = Sandbox.shownFolders.contains { "\(folder)/".hasPrefix("\($0)/") }
            if !isShown { folders.insert(folder) }
        }
        return folders.sorted()
    }
}
