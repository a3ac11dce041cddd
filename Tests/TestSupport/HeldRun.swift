import Foundation
import Glibc

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
    ///   - disk: the image whose merge ``duringMerge(_:)`` holds up; nil where none is.
    public static func during<Value: Sendable>(
        _ arguments: [String], on domain: String, in folder: String, checker: String = waiting,
        mergingInto disk: String? = nil, _ body: (HeldRun) async throws -> Value
    ) async throws -> Value {
        let held = try await start(arguments, in: folder, checker: checker, mergingInto: disk)
        let earlier = Set(logs(of: domain))
        let outcome: Result<Value, any Error>
        do {
            let isHeld = await eventually {
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
        // Where the test was not about its merge.
        held.daemon.map { _ = kill($0, SIGCONT) }
        _ = await held.run.result
        try? FileManager.default.removeItem(atPath: held.folder)
        return try outcome.get()
    }

    /// Lets the checker do its work.
    public func goOn() { _ = FileManager.default.createFile(atPath: "\(folder)/go-on", contents: nil) }

    /// Lets the checker do its work, and calls `body` when the storage daemon has come to its first write to the disk: there it
    /// stops, and goes on afterwards.
    public func duringMerge<Value>(_ body: () async throws -> Value) async throws -> Value {
        goOn()
        guard await eventually({ daemon.map(Self.isStopped) == true }), let daemon else {
            throw ToolError(description: "the merge did not begin")
        }
        defer { kill(daemon, SIGCONT) }
        return try await body()
    }

    /// The storage daemon that stops at its first write to the disk; nil where there is none, or not yet.
    private var daemon: Int32? {
        (try? String(contentsOfFile: "\(folder)/daemon.pid", encoding: .utf8)).flatMap {
            Int32($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    private static func isStopped(_ process: Int32) -> Bool {
        let status = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        return status.split(separator: ")").last?.split(separator: " ").first == "T"
    }

    private static func start(
        _ arguments: [String], in folder: String, checker: String, mergingInto disk: String?
    ) async throws -> HeldRun {
        let tools = "\(folder)/tools-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: tools, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        try await Tool.output(of: "cp", ["/usr/sbin/e2fsck", "\(tools)/e2fsck"])
        let script = "\(tools)/script"
        try "\(preparations)\n\(checker)\n".write(toFile: script, atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
        var mounting = #"mount --bind "$0" \#(place) && mount --bind "$0/script" /usr/sbin/e2fsck"#
        if let disk {
            guard let library = VirtFsck.killSwitch, let daemon = Tool.path(of: "qemu-storage-daemon") else {
                throw ToolError(description: "libKillSwitch.so is not beside virt-fsck, or QEMU is missing")
            }
            try await Tool.output(of: "cp", [daemon, "\(tools)/qemu-storage-daemon"])
            // The end of its line in the log: the overlay's path begins with that of the disk.
            let stopping = """
                #!/bin/sh
                echo $$ >"\(tools)/daemon.pid"
                export KILL_SWITCH_MATCH=" \(disk)
                "
                export LD_PRELOAD="\(library)" KILL_SWITCH_AT=1 KILL_SWITCH_SIGNAL=\(SIGSTOP)
                exec \(place)/qemu-storage-daemon "$@"

                """
            try stopping.write(toFile: "\(tools)/stopping", atomically: false, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(tools)/stopping")
            mounting += #" && mount --bind "$0/stopping" \#(daemon)"#
        }
        mounting += #" && exec "$@""#
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
