import Foundation
import HostTools
import Testing

struct SandboxTests {
    private let limits = ResourceLimits(memory: 4096)
    private let unprivileged = [
        "setpriv", "--reuid", "61184", "--regid", "61184", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
        "--no-new-privs", "--",
    ]
    private let limited = [
        "-n", "1000", "--", "prlimit", "--as=4096", "--core=1", "--nofile=1024", "--nproc=8192", "--memlock=65536",
        "--rtprio=0",
    ]
    private let walls = [
        "bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
        "--perms", "0755", "--dir", "/dev", "--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/proc",
        "--ro-bind-try", "/usr", "/usr", "--ro-bind-try", "/bin", "/bin", "--ro-bind-try", "/sbin", "/sbin",
        "--ro-bind-try", "/lib", "/lib", "--ro-bind-try", "/lib64", "/lib64",
        "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
        "--ro-bind-try", "/etc/alternatives", "/etc/alternatives",
        "--dev-bind", "/dev/null", "/dev/null", "--dev-bind", "/dev/null", "/proc/mounts",
        "--seccomp", "0", "--chdir", "/", "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
        "--cap-add", "CAP_SETPCAP",
    ]

    @Test func `a command is put behind every wall`() {
        let sandbox = Sandbox(.bubblewrap, limits: limits)
        let device = Sandbox.Device(node: "/dev/virt-fsck/r/check-vda1", name: "vda1")
        let command = sandbox.confine(
            Command("e2fsck", ["-f", "-y", sandbox.path(of: device)], timeout: .seconds(7), outputLimit: 99),
            to: [device])
        #expect(command.program == "choom")
        // Whole `struct sock_filter`s, and no more than a pipe takes at once.
        #expect(command.input.count % 8 == 0 && (16 * 8...4096).contains(command.input.count))
        #expect(command.timeout == .seconds(7))
        #expect(command.outputLimit == 99)
        #expect(command.haste == .kill)
        let bound = ["--dev-bind", "/dev/virt-fsck/r/check-vda1", "/dev/vda1", "--"]
        #expect(command.arguments == limited + walls + bound + unprivileged + ["e2fsck", "-f", "-y", "/dev/vda1"])
    }

    @Test func `several devices can be shown, and what lvm needs`() {
        let devices = ["a", "b"].map { Sandbox.Device(node: "/dev/virt-fsck/r/lvm/\($0)", name: $0) }
        let command = Sandbox(.bubblewrap, limits: limits).confine(
            Command("lvm", "fullreport"), to: devices, needing: .deviceTypes("/proc/devices"))
        let extra = [
            "--ro-bind", "/proc/devices", "/proc/devices", "--perms", "0755", "--dir", "/etc/lvm",
            "--dev-bind", "/dev/virt-fsck/r/lvm/a", "/dev/a", "--dev-bind", "/dev/virt-fsck/r/lvm/b", "/dev/b", "--",
        ]
        #expect(command.arguments == limited + walls + extra + unprivileged + ["lvm", "fullreport"])
    }

    @Test func `without bubblewrap uid and capabilities are taken, and limits set, all the same`() {
        let sandbox = Sandbox(.privilegesOnly, limits: limits)
        let device = Sandbox.Device(node: "/dev/virt-fsck/r/check-a", name: "a")
        let command = sandbox.confine(Command("e2fsck", "-n", sandbox.path(of: device)), to: [device])
        #expect(command.program == "choom")
        #expect(command.arguments == limited + unprivileged + ["e2fsck", "-n", "/dev/virt-fsck/r/check-a"])
        #expect(sandbox.requiredPrograms == ["choom", "prlimit", "setpriv"])
        #expect(Sandbox(.bubblewrap).requiredPrograms == ["bwrap", "choom", "prlimit", "setpriv"])
    }

    @Test func `many threads get small stacks`() {
        let arguments = Sandbox(.bubblewrap).confine(Command("xfs_repair"), to: [], needing: .threads).arguments
        #expect(arguments.contains("--stack=1048576:"))
        #expect(!Sandbox(.bubblewrap).confine(Command("e2fsck"), to: []).arguments.contains("--stack=1048576:"))
        #expect(Checker.xfs(log: .keep).need == .threads && Checker.ext.need == .nothing)
    }

    @Test func `the limit of memory is a part of the host's, and never too small for xfs_repair`() throws {
        let text = try String(contentsOfFile: "/proc/meminfo", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("MemTotal:") })
        let total = try #require(line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }) << 10
        let limit = ResourceLimits.ofThisHost.memory
        #expect(limit >= 4 << 30)
        #expect(limit == 4 << 30 || limit <= total)
    }

    @Test func `a signal that ended a program inside is a signal`() {
        #expect(Sandbox(.bubblewrap).status(of: .exited(139)) == .signaled(11))
        #expect(Sandbox(.bubblewrap).status(of: .exited(12)) == .exited(12))
        #expect(Sandbox(.bubblewrap).status(of: .timedOut) == .timedOut)
        #expect(Sandbox(.privilegesOnly).status(of: .exited(139)) == .exited(139))
    }
}

/// The walls, tried from inside by programs of the host.
@Suite(
    .enabled(if: Cell.isPossible, "needs root, FUSE, bubblewrap and python3"),
    .timeLimit(.minutes(40)))
struct SandboxWallTests {
    private let folder: ScratchFolder
    private let cell: Cell

    init() throws {
        folder = try ScratchFolder()
        cell = try Cell(folder)
    }

    @Test func `a program sees its device and /dev/null, and no other device`() async throws {
        #expect(try await inside("ls /dev").output == "null\nvda1\n")
        #expect(try await inside("ls /").output == "bin\ndev\netc\nlib\nlib64\nproc\nsbin\nusr\n")
    }

    @Test func `a program reads and writes its device`() async throws {
        let result = try await cell.python(
            "import sys; f = open(sys.argv[1], 'r+b', 0); f.write(b'hello'); f.seek(0); print(f.read(5))")
        #expect(result.output == "b'hello'\n")
        #expect(try String(contentsOfFile: cell.disk, encoding: .utf8).hasPrefix("hello"))
    }

    @Test func `a program is not root, and is in no group`() async throws {
        #expect(try await inside("id -u").output == "61184\n")
        #expect(try await inside("id -g").output == "61184\n")
        #expect(try await inside("id -G").output == "61184\n")
    }

    @Test func `a program has no capabilities and can get none`() async throws {
        let lines = try await inside("setpriv --dump").output.split(separator: "\n").map(String.init)
        #expect(lines.contains("uid: 61184") && lines.contains("euid: 61184"))
        #expect(lines.contains("no_new_privs: 1"))
        #expect(lines.contains("Inheritable capabilities: [none]"))
        #expect(lines.contains("Capability bounding set: [none]"))
    }

    @Test(arguments: [
        "touch /x", "touch /dev/x", "touch /usr/x", "touch /etc/x", "touch /proc/x", "mknod /dev/x b 7 0",
        "mount -t proc proc /proc", "chown 0 /dev/vda1", "ls /proc/sys", "ls /sys", "ls /root", "ls /home", "ls /run",
        "ls /tmp", "ls /var", "cat /etc/passwd", "unshare -n true", "unshare -U true", "su -c id", "newgrp root",
        "sh -c true|true",
    ]) func `a program can't leave its walls`(attempt: String) async throws {
        let result = try await inside(attempt)
        #expect(result.status != .exited(0), "\(attempt) worked: \(result.output)")
    }

    @Test func `a program can't take its loop device away`() async throws {
        let result = try await inside("losetup --detach /dev/vda1")
        #expect(result.errorOutput.contains("Operation not permitted"), "\(result)")
    }

    @Test func `flushing the buffers, which only root may, does nothing and succeeds`() async throws {
        #expect(try await inside("blockdev --flushbufs /dev/vda1").isSuccess)
    }

    @Test func `a program may have threads`() async throws {
        let result = try await cell.python(
            "import threading; t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()")
        #expect(result.output == "thread\n")
    }

    @Test func `a program ended by a signal is told from one that exits`() async throws {
        let result = try await cell.python("import os; os.kill(os.getpid(), 11)")
        // A process that is the first of its namespace is spared by its own signals; this one is not.
        #expect(result.status == .signaled(11))
    }

    @Test func `lvm runs with its own words only`() async throws {
        let result = try await cell.run("lvm", ["version"], needing: .deviceTypes("/proc/devices"))
        #expect(result.isSuccess, "\(result)")
    }

    /// Runs a program as a checker is run; words are parted by spaces.
    private func inside(_ words: String) async throws -> CommandResult {
        let words = words.split(separator: " ").map(String.init)
        return try await cell.run(words[0], Array(words.dropFirst()))
    }
}
