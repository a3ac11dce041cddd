import Foundation

/// A file that does not answer while its daemon is stopped, as one on a server that has gone: an image exported by FUSE.
public struct SilentFile: Sendable {
    /// Where it is.
    public let path: String
    private let daemon: Process

    /// Exports an image as a file, which answers at first.
    public init(at path: String, over image: String) async throws {
        self.path = path
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        daemon = Process()
        daemon.executableURL = URL(filePath: "/usr/bin/qemu-storage-daemon")
        daemon.arguments = [
            "--blockdev", "driver=file,node-name=n,filename=\(image)",
            "--export", "type=fuse,id=e,node-name=n,mountpoint=\(path),allow-other=off",
        ]
        try daemon.run()
        let size = try Self.size(of: image)
        let isThere = await eventually(within: .seconds(60)) { (try? Self.size(of: path)) == size }
        guard isThere else {
            end()
            throw ToolError(description: "\(path) did not appear")
        }
    }

    /// From here on it does not answer.
    public func stop() { kill(daemon.processIdentifier, SIGSTOP) }
    /// From here on it answers again.
    public func goOn() { kill(daemon.processIdentifier, SIGCONT) }

    /// Takes it down; whoever waits for it gets an error.
    public func end() {
        kill(daemon.processIdentifier, SIGKILL)
        daemon.waitUntilExit()
        umount2(path, Int32(MNT_DETACH))
    }

    private static func size(of path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
    }
}
