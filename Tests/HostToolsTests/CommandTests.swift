import HostTools
import Testing

struct CommandTests {
    @Test(arguments: [
        ("plain", "plain"), ("", "''"), ("two words", "'two words'"), ("it's", #"'it'\''s'"#),
        ("$(reboot)", "'$(reboot)'"),
        ("/dev/vda1", "/dev/vda1"), ("a=b,c:d+e@f%", "a=b,c:d+e@f%"), ("*", "'*'"), ("ü", "'ü'"), ("a\nb", "'a\nb'"),
        (#"{"a": 1}"#, #"'{"a": 1}'"#), ("½", "'½'"), ("~root", "'~root'"), ("10%", "10%"),
    ]) func `an argument is shown the way a shell would need it`(argument: String, shown: String) {
        #expect(Command("echo", [argument]).description == "echo \(shown)")
    }

    @Test func `a program's name is quoted too`() {
        #expect(Command("my program").description == "'my program'")
    }

    @Test func `what a failure complains about is the last line of standard error that says something`() {
        let result = CommandResult(status: .exited(1), output: "out\n", errorOutput: "first\n  last words \n\n")
        #expect(result.complaint == "last words")
    }

    @Test func `without standard error the complaint comes from standard output, and then from the status`() {
        #expect(CommandResult(status: .exited(1), output: "a\nb\n", errorOutput: " \n").complaint == "b")
        #expect(CommandResult(status: .signaled(11)).complaint == "killed by signal 11")
        #expect(CommandResult(status: .signaled(9), output: "{\n}\n").complaint == "killed by signal 9")
    }

    @Test(arguments: [
        (CommandStatus.exited(4), "exit status 4"), (.signaled(9), "killed by signal 9"),
        (.timedOut, "stopped: it took too long"), (.outputLimitExceeded, "stopped: it printed too much"),
    ]) func `a status is said in words`(status: CommandStatus, words: String) {
        #expect(status.description == words)
        #expect(CommandResult(status: status).isSuccess == false)
    }

    @Test(arguments: [
        ("qemu-img", "qemu-utils"), ("qemu-nbd", "qemu-utils"), ("qemu-storage-daemon", "qemu-system-common"),
        ("lvm", "lvm2"), ("e2fsck", "e2fsprogs"), ("fsck.fat", "dosfstools"), ("xfs_repair", "xfsprogs"),
        ("bwrap", "bubblewrap"), ("setpriv", "util-linux"), ("prlimit", "util-linux"), ("choom", "util-linux"),
    ]) func `a missing program names its Debian package`(program: String, package: String) async {
        let runner = HostCommandRunner(folders: ["/nowhere"])
        let expected = CommandError.notFound(program: program, package: package)
        await #expect(throws: expected) { try await runner.run(Command(program)) }
        #expect(expected.description == "\(program): not found; install \(package)")
    }

    @Test func `a missing program of nobody is said to be missing`() async {
        let runner = HostCommandRunner(folders: ["/nowhere"])
        #expect(runner.path(of: "no-such-program") == nil)
        let error = await #expect(throws: CommandError.self) { try await runner.run(Command("no-such-program")) }
        #expect(error?.description == "no-such-program: not found")
    }
}
