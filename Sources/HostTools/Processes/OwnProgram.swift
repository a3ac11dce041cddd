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
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0, count < buffer.count else { return nil }
        let path = String(decoding: buffer[..<count], as: UTF8.self)
        guard Files.exists(path) else { return nil }
        return OwnProgram(path: path, libraryFolders: libraryFolders)
    }

    private static var libraryFolders: [String] {
        guard let maps = try? Files.end(of: "/proc/self/maps", from: 0, limit: 1 << 20) else { return [] }
        let paths = maps.split(separator: "\n").compactMap { line in line.firstIndex(of: "/").map { line[$0...] } }
        let libraries = paths.filter { path in
            path.contains(".so") && !Sandbox.shownFolders.contains { path.hasPrefix("\($0)/") }
        }
        return Set(libraries.compactMap { $0.lastIndex(of: "/").map { slash in String($0[..<slash]) } }).sorted()
    }
}
