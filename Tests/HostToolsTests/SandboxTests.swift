import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

struct SandboxTests {
    @Test func `a command is put behind every wall`() {
        let command = Sandbox(.bubblewrap).confine(
            Command("e2fsck", ["-f", "-y"], timeout: .seconds(7), outputLimit: 99),
            toDevice: "/dev/virt-fsck/r/check-vda1",
            named: "vda1")
        #expect(command.program == "bwrap")
        // 16 instructions of `struct sock_filter`.
        #expect(command.input.count == 16 * 8)
        #expect(command.timeout == .seconds(7))
        #expect(command.outputLimit == 99)
        #expect(
            command.arguments == [
                "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
                "--ro-bind-try", "/usr", "/usr", "--ro-bind-try", "/bin", "/bin", "--ro-bind-try", "/sbin", "/sbin",
                "--ro-bind-try", "/lib", "/lib", "--ro-bind-try", "/lib64", "/lib64",
                "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
                "--ro-bind-try", "/etc/alternatives", "/etc/alternatives",
                "--perms", "0755", "--dir", "/dev", "--dev-bind", "/dev/null", "/dev/null",
                "--perms", "0755", "--dir", "/proc", "--dev-bind", "/dev/null", "/proc/mounts",
                "--seccomp", "0", "--chdir", "/", "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add",
                "CAP_SETGID",
                "--cap-add", "CAP_SETPCAP", "--dev-bind", "/dev/virt-fsck/r/check-vda1", "/dev/vda1", "--", "setpriv",
                "--reuid", "61184", "--regid", "61184", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
                "--no-new-privs", "--", "e2fsck", "-f", "-y", "/dev/vda1",
            ])
    }

    @Test func `without bubblewrap uid and capabilities are taken all the same`() {
        let sandbox = Sandbox(.privilegesOnly)
        let command = sandbox.confine(Command("e2fsck", "-n"), toDevice: "/dev/virt-fsck/r/check-a", named: "a")
        #expect(command.program == "setpriv")
        #expect(
            command.arguments == [
                "--reuid", "61184", "--regid", "61184", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
                "--no-new-privs", "--", "e2fsck", "-n", "/dev/virt-fsck/r/check-a",
            ])
        #expect(sandbox.requiredPrograms == ["setpriv"])
        #expect(Sandbox(.bubblewrap).requiredPrograms == ["bwrap", "setpriv"])
    }
}

/// The walls, tried from inside by a shell.
@Suite(
    .enabled(if: hasFUSEExport && HostCommandRunner().path(of: "bwrap") != nil, "needs root, FUSE and bubblewrap"),
    .timeLimit(.minutes(1)))
struct SandboxWallTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    @Test func `a program sees its device and /dev/null, and no other device`() async throws {
        let seen = try await inside("ls /dev; ls /")
        #expect(seen.output == "null\nvda1\nbin\ndev\netc\nlib\nlib64\nproc\nsbin\nusr\n")
    }

    @Test func `a program reads and writes its device`() async throws {
        let result = try await inside(#"printf hello | dd of="$1" conv=notrunc 2>/dev/null && head -c5 "$1""#)
        #expect(result.output == "hello")
        #expect(try String(contentsOfFile: folder.file("disk"), encoding: .utf8).hasPrefix("hello"))
    }

    @Test func `a program is not root, and is in no group`() async throws {
        #expect(try await inside("id -u; id -g; id -G").output == "61184\n61184\n61184\n")
    }

    @Test func `a program has no capabilities and can get none`() async throws {
        let result = try await inside("setpriv --dump; capsh --print")
        let lines = result.output.split(separator: "\n").map(String.init)
        #expect(lines.contains("uid: 61184") && lines.contains("euid: 61184"))
        #expect(lines.contains("no_new_privs: 1"))
        #expect(lines.contains("Inheritable capabilities: [none]"))
        #expect(lines.contains("Capability bounding set: [none]"))
        if HostCommandRunner().path(of: "capsh") != nil {
            // Permitted and effective, by capget(2).
            #expect(lines.contains("Current: ="))
        }
    }

    @Test(arguments: [
        "touch /x", "touch /dev/x", "touch /usr/x", "touch /etc/x", "touch /proc/x", "mknod /dev/x b 7 0",
        "mount -t proc proc /proc",
        "chown 0 /dev/vda1", "ls /proc/sys", "ls /sys", "ls /root", "ls /home", "ls /run", "ls /tmp", "ls /var",
        "cat /etc/passwd", "unshare -n true", "unshare -U true && mount -t tmpfs none /usr",
    ]) func `a program can't leave its walls`(attempt: String) async throws {
        let result = try await inside(attempt)
        #expect(result.status != .exited(0), "\(attempt) worked: \(result.output)")
    }

    @Test func `a program has no network, not even its own loopback`() async throws {
        let python = "import socket; s = socket.socket(); s.settimeout(2); s.connect(('127.0.0.1', 22))"
        let probe =
            HostCommandRunner().path(of: "python3") != nil
            ? "python3 -c \"\(python)\"" : "getent hosts localhost.invalid"
        #expect(try await inside(probe).status != .exited(0))
    }

    @Test func `a program can't take its loop device away`() async throws {
        let result = try await inside(#"losetup --detach "$1""#)
        #expect(result.errorOutput.contains("Operation not permitted"), "\(result)")
    }

    @Test func `flushing the buffers, which only root may, does nothing and succeeds`() async throws {
        #expect(try await inside(#"blockdev --flushbufs "$1""#).isSuccess)
    }

    @Test func `the walls end with the program, its children too`() async throws {
        let result = try await inside("sleep 300 & sleep 300", timeout: .milliseconds(500))
        #expect(result.status == .timedOut)
    }

    /// Runs a shell script as a checker is run, with the device as `$1`.
    private func inside(_ script: String, timeout: Duration = .seconds(30)) async throws -> CommandResult {
        let path = try folder.sparseFile("disk", size: 1 << 20)
        let file = try FileDescriptor.open(FilePath(path), .readWrite)
        defer { try? file.close() }
        let loop = try LoopDevice.attach(file)
        let nodePath = "/dev/virt-fsck-test-\(getpid())-\(loop.number)"
        let node = try DeviceNode.create(
            at: nodePath, for: loop.deviceNumber, owner: Sandbox.userID, group: Sandbox.userID)
        let command = Sandbox(.bubblewrap).confine(
            Command("sh", ["-c", script, "sh"], timeout: timeout), toDevice: node.path, named: "vda1")
        let result: CommandResult
        do {
            result = try await HostCommandRunner().run(command)
        } catch {
            try? node.remove()
            try? loop.detach()
            throw error
        }
        try loop.sync()
        try node.remove()
        // Fails where a child of the program still had the device open.
        try loop.detach(timeout: .seconds(5))
        return result
    }
}
