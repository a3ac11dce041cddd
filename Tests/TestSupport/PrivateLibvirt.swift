import Foundation
import Glibc

/// A libvirtd of this test process alone, with all its privileges and none of the host's domains.
///
/// As root, `qemu:///session` is the system's daemon (libvirt: a privileged daemon serves both), whatever HOME and XDG_* say.
/// So this one runs in a mount namespace of its own, in which libvirt's folders are those of the tests; its socket is
/// reached by path.
public actor PrivateLibvirt {
    /// The one of this process. It ends with the process, and by itself ten minutes after its last client.
    public static let shared = PrivateLibvirt(folder: "\(TestHost.folder)/libvirt")

    /// What to say after `--connect`.
    public nonisolated let uri: String

    private nonisolated let folder: String
    private var start: Task<Void, any Error>?

    /// One more, for a test that restarts it, which the others must not notice; in a folder of the test's own.
    ///
    /// - Parameter folder: everybody may search it. Sockets are in it, so its path must be short. The caller ends it.
    public init(folder: String) {
        self.folder = folder
        uri = "qemu+unix:///system?socket=\(folder)/socket/libvirt-sock"
    }

    /// Starts it where it is not running yet.
    public func ready() async throws {
        let start = self.start ?? Task { try await self.launch() }
        self.start = start
        try await start.value
    }

    /// Runs virsh.
    @discardableResult
    public nonisolated func virsh(_ arguments: String...) async throws -> String {
        try await ready()
        do {
            return try await Tool.output(of: "virsh", ["--quiet", "--connect", uri] + arguments)
        } catch let error as ToolError where error.description.contains("Failed to connect socket") {
            let log = (try? String(contentsOfFile: "\(folder)/libvirtd.log", encoding: .utf8)) ?? ""
            throw ToolError(description: "\(error.description)\nthe daemon's last words:\n\(log.suffix(2000))")
        }
    }

    /// Where libvirt has a domain's XML.
    public nonisolated var definitions: String { "\(folder)/etc/qemu" }

    /// Where libvirt keeps what outlives it.
    public nonisolated var state: String { "\(folder)/lib" }

    /// What libvirt found out about the host's QEMU: a daemon that has it starts quicker.
    public nonisolated var cache: String { "\(folder)/cache" }

    /// The last thing that the QEMU of a domain has complained about; "" where there was nothing.
    public nonisolated func complaint(ofDomain name: String) -> String {
        let log = (try? String(contentsOfFile: "\(folder)/log/qemu/\(name).log", encoding: .utf8)) ?? ""
        return log.split(separator: "\n").last { $0.contains("qemu-system-x86_64: ") }.map(String.init) ?? ""
    }

    /// The qemu process of a running domain.
    public nonisolated func processOfDomain(_ name: String) async throws -> Int32? {
        try String(contentsOfFile: "\(folder)/run/qemu/\(name).pid", encoding: .utf8).split(separator: "\n").first
            .flatMap { Int32($0) }
    }

    /// Kills the daemon, as a crash would, and gives its end; its domains go on.
    public func kill() async throws {
        try await ready()
        start = nil
        try Self.daemon(in: folder).map { pid in
            guard Glibc.kill(pid, SIGKILL) == 0 else { throw ToolError(description: "no libvirtd is process \(pid)") }
            // Not our child: it is gone when the signal finds nobody.
            for _ in 0..<500 where Glibc.kill(pid, 0) == 0 { usleep(10_000) }
        }
    }

    /// Ends the daemon and its domains.
    public nonisolated func end() { Self.end(folder) }

    private func launch() async throws {
        for name in ["socket", "etc/qemu", "lib", "run", "log", "cache"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        if folder != Self.shared.folder { try await shareCapabilities() }
        let configuration = """
            unix_sock_dir = "\(folder)/socket"
            unix_sock_rw_perms = "0777"
            auth_unix_rw = "none"
            auth_unix_ro = "none"

            """
        try configuration.write(toFile: "\(folder)/etc/libvirtd.conf", atomically: true, encoding: .utf8)
        // No virtlogd, and no device cgroups or AppArmor of the host: they would need the host's own daemon.
        let driver = """
            stdio_handler = "file"
            namespaces = []
            security_driver = "none"

            """
        try driver.write(toFile: "\(folder)/etc/qemu.conf", atomically: true, encoding: .utf8)
        try installHook()
        let script = """
            set -e
            cd "$1"
            for name in etc lib run log cache; do
              case $name in etc) to=/etc/libvirt ;; run) to=/run/libvirt ;; *) to=/var/$name/libvirt ;; esac
              mkdir -p "$to"
              mount --bind "$1/$name" "$to"
            done
            exec libvirtd --timeout 3600 --pid-file "$1/libvirtd.pid"
            """
        atexit {
            PrivateLibvirt.end("\(TestHost.folder)/libvirt")
            try? FileManager.default.removeItem(atPath: TestHost.folder)
        }
        try await Tool.output(
            of: "sh",
            [
                "-c",
                #"setsid unshare --mount --propagation private sh -c "$2" sh "$1" </dev/null >"$1/libvirtd.log" 2>&1 &"#,
                "sh", folder, script,
            ])
        let isUp = try await eventually {
            try await Tool.run("virsh", ["--quiet", "--connect", uri, "uri"]).exitStatus == 0
        }
        guard isUp else {
            let log = try? String(contentsOfFile: "\(folder)/libvirtd.log", encoding: .utf8)
            throw ToolError(description: "libvirtd does not start: \(log ?? "")")
        }
        try await askCapabilities()
    }

    /// Gives it what the shared one knows of the host's QEMU already, so that it need not ask.
    private func shareCapabilities() async throws {
        try await Self.shared.ready()
        try await Tool.output(of: "cp", ["-a", "\(Self.shared.cache)/.", cache])
    }

    /// Lets it ask QEMU once what it can do, which it does before it defines anything.
    ///
    /// Seen twice in some hundred times: the QEMU 7.2 that it asks accepts its only connection in two threads at once (the monitor's and
    /// the main one share the listening socket), the second waits for ever in accept(2), and libvirtd with it. Such a QEMU is
    /// ended; the daemon asks another.
    private func askCapabilities() async throws {
        for _ in 0..<5 {
            let answer = try await Tool.run(
                "timeout", ["60", "virsh", "--quiet", "--connect", uri, "domcapabilities", "--virttype", "qemu"])
            guard answer.exitStatus != 0 else { return }
            try await Tool.output(of: "sh", ["-c", Self.endStuckQemu, "sh", "\(folder)/libvirtd.pid"])
        }
        throw ToolError(description: "libvirtd does not get QEMU's capabilities")
    }

    /// Those in the daemon's own mount namespace that were started to be asked only.
    private static let endStuckQemu = """
        space=$(readlink "/proc/$(cat "$1")/ns/mnt")
        for process in /proc/[0-9]*; do
          [ "$(readlink "$process/ns/mnt" 2>/dev/null)" = "$space" ] || continue
          tr '\\0' ' ' < "$process/cmdline" 2>/dev/null | grep -q '/qmp-.*/qmp.monitor' && kill -9 "${process#/proc/}"
        done
        true
        """

    /// Our hook in the sources.
    public static let hook = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "libexec/libvirt-hook").path

    /// Our hook, as `make install` puts it there, for domains whose name ends in `-hooked` only: with the others, what protects
    /// a domain without it is tested.
    private func installHook() throws {
        let hooks = "\(folder)/etc/hooks/qemu.d"
        try FileManager.default.createDirectory(atPath: hooks, withIntermediateDirectories: true)
        let script = """
            #!/bin/sh
            case $1 in *-hooked) exec "\(Self.hook)" "$@" ;; esac

            """
        try script.write(toFile: "\(hooks)/virt-fsck", atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(hooks)/virt-fsck")
    }

    /// Ends the daemon and every domain that it left.
    private static func end(_ folder: String) {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/run/qemu")) ?? []
        let domains = files.filter { $0.hasSuffix(".pid") && $0 != "driver.pid" }.compactMap { file in
            pid(in: "\(folder)/run/qemu/\(file)", ofProcessWith: "guest=\(file.dropLast(4)),")
        }
        for pid in domains + [daemon(in: folder)].compactMap({ $0 }) {
            Glibc.kill(pid, SIGTERM)
            for _ in 0..<500 where Glibc.kill(pid, 0) == 0 { usleep(10_000) }
        }
    }

    private static func daemon(in folder: String) -> pid_t? {
        pid(in: "\(folder)/libvirtd.pid", ofProcessWith: "\(folder)/libvirtd.pid")
    }

    /// The process that a file names; nil where its command line has not these words. Processes and threads get each number of
    /// the kernel's 32,768 again within minutes here, and whoever signals one of a thread hits its whole process.
    private static func pid(in file: String, ofProcessWith words: String) -> pid_t? {
        guard let pid = pid(in: file), let command = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline"),
            String(decoding: command, as: UTF8.self).contains(words)
        else { return nil }
        return pid
    }

    private static func pid(in file: String) -> pid_t? {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8),
            let pid = pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)), pid > 1
        else { return nil }
        return pid
    }
}
