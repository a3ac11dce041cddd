import Foundation

/// A run of virt-fsck whose e2fsck is a script of the test's own, in a mount namespace of its own: by default one that waits
/// until it is told to go on. The time in which everything is attached, for as long as a test wants.
public struct HeldRun: Sendable {
    /// The run.
    public let run: Task<VirtFsck.Run, any Error>

    private let folder: String

    /// What the sandbox shows the checker of the test's folder, in place of a folder of the system that nobody needs.
    private static let place = "/usr/games"

    /// Waits, then does what e2fsck does.
    public static let waiting = """
        hold()
        os.execv("\(place)/e2fsck", ["e2fsck"] + sys.argv[1:])
        """

    /// No shell: a checker is one process, and can't start sleep(1).
    private static let preparations = """
        #!/usr/bin/python3 -IS
        import os, sys, time

        def hold():
            print("held", flush=True)
            while not os.path.exists("\(place)/go-on"): time.sleep(0.05)

        """

    /// Starts virt-fsck, calls `body` when its checker was started, and lets it go on afterwards.
    ///
    /// - Parameters:
    ///   - arguments: of virt-fsck, with the domain and the connection.
    ///   - domain: whose checker is waited for.
    ///   - folder: of the test's own, for what is needed; everybody may search it.
    ///   - checker: in Python, with `os`, `sys` and `time`; calls `hold()` where `body` shall begin. The device is its last
    ///     argument.
    public static func during<Value: Sendable>(
        _ arguments: [String], on domain: String, in folder: String, checker: String = waiting,
        _ body: (HeldRun) async throws -> Value
    ) async throws -> Value {
        let held = try await start(arguments, in: folder, checker: checker)
        let earlier = Set(logs(of: domain))
        let outcome: Result<Value, any Error>
        do {
            let isHeld = await eventually(within: .seconds(120)) {
                logs(of: domain).contains { log in
                    !earlier.contains(log)
                        && (try? String(contentsOfFile: log, encoding: .utf8))?.contains("held\n") == true
                }
            }
            guard isHeld else {
                held.goOn()
                throw ToolError(description: "the checker was not started: \(try await held.run.value)")
            }
            outcome = .success(try await body(held))
        } catch {
            outcome = .failure(error)
        }
        held.goOn()
        _ = await held.run.result
        try? FileManager.default.removeItem(atPath: held.folder)
        return try outcome.get()
    }

    /// Lets the checker do its work.
    public func goOn() { _ = FileManager.default.createFile(atPath: "\(folder)/go-on", contents: nil) }

    private static func start(_ arguments: [String], in folder: String, checker: String) async throws -> HeldRun {
        let tools = "\(folder)/tools-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: tools, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        try await Tool.output(of: "cp", ["/usr/sbin/e2fsck", "\(tools)/e2fsck"])
        let script = "\(tools)/script"
        try "\(preparations)\n\(checker)\n".write(toFile: script, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
        let mounting = #"mount --bind "$0" \#(place) && mount --bind "$0/script" /usr/sbin/e2fsck && exec "$@""#
        let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounting, tools]
        return HeldRun(run: Task { try await VirtFsck.run(wrapper, arguments) }, folder: tools)
    }

    private static func logs(of domain: String) -> [String] {
        let folder = "/var/log/virt-fsck"
        let runs = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return runs.filter { $0.hasPrefix("\(domain)-") }.flatMap { run in
            ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(run)")) ?? []).map {
                "\(folder)/\(run)/\($0)"
            }
        }
    }
}
