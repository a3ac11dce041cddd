import HostTools
import Testing

struct CheckerTests {
    /// e2fsck(8): 1 corrected, 2 corrected and reboot, 4 uncorrected, 8 operational, 16 usage, 32 cancelled, 128 library.
    @Test(arguments: 0...255 as ClosedRange<Int32>)
    func `an e2fsck that repairs claims what the bits of its status say`(code: Int32) {
        let claim = Checker.ext.claim(of: .exited(code), .readWrite)
        switch code {
        case 0: #expect(claim == .nothingWrong)
        case 1, 2, 3: #expect(claim == .repaired)
        case 4, 5, 6, 7: #expect(claim == .errorsLeft)
        default: #expect(claim == .gaveUp("e2fsck gave up (exit status \(code))"))
        }
    }

    @Test(arguments: 0...255 as ClosedRange<Int32>)
    func `an e2fsck that only looks never claims a repair`(code: Int32) {
        let claim = Checker.ext.claim(of: .exited(code), .readOnly)
        switch code {
        case 0: #expect(claim == .nothingWrong)
        case 1...7: #expect(claim == .errorsLeft)
        default: #expect(claim == .gaveUp("e2fsck gave up (exit status \(code))"))
        }
    }

    /// fsck.fat(8): 1 recoverable errors or an inconsistency, 2 usage.
    @Test(arguments: 0...255 as ClosedRange<Int32>)
    func `fsck.fat claims what its status says`(code: Int32) {
        let gaveUp = Checker.Claim.gaveUp("fsck.fat gave up (exit status \(code))")
        let repair = Checker.fat.claim(of: .exited(code), .readWrite)
        let look = Checker.fat.claim(of: .exited(code), .readOnly)
        #expect(repair == (code == 0 ? .nothingWrong : code == 1 ? .repaired : gaveUp))
        #expect(look == (code == 0 ? .nothingWrong : code == 1 ? .errorsLeft : gaveUp))
    }

    /// xfs_repair(8): 1 runtime error, with -n corruption; 2 dirty log; with -e 4 corruption that was repaired.
    @Test(arguments: 0...255 as ClosedRange<Int32>, [Checker.XFSLog.keep, .discard])
    func `xfs_repair claims what its status says`(code: Int32, log: Checker.XFSLog) {
        let checker = Checker.xfs(log: log)
        let gaveUp = Checker.Claim.gaveUp("xfs_repair gave up (exit status \(code))")
        let repair = checker.claim(of: .exited(code), .readWrite)
        switch code {
        case 0: #expect(repair == .nothingWrong)
        case 2:
            guard case .gaveUp(let why) = repair else {
                Issue.record("a log that only a mount can replay is not \(repair)")
                return
            }
            #expect(why.contains("--allow discard-xfs-log"))
        case 4: #expect(repair == .repaired)
        default: #expect(repair == gaveUp)
        }
        let look = checker.claim(of: .exited(code), .readOnly)
        #expect(look == (code == 0 ? .nothingWrong : code == 1 ? .errorsLeft : gaveUp))
    }

    @Test(
        arguments: [Checker.ext, .fat, .xfs(log: .keep)],
        [CommandStatus.signaled(11), .signaled(9), .timedOut, .outputLimitExceeded])
    func `a checker that did not end by itself gave up`(checker: Checker, status: CommandStatus) {
        for mode in [DeviceAccess.readOnly, .readWrite] {
            #expect(checker.claim(of: status, mode) == .gaveUp("\(checker.program) \(status)"))
        }
    }

    @Test(arguments: [
        (Checker.ext, DeviceAccess.readWrite, "e2fsck", ["-f", "-y"]), (.ext, .readOnly, "e2fsck", ["-f", "-n"]),
        (.fat, .readWrite, "fsck.fat", ["-a"]), (.fat, .readOnly, "fsck.fat", ["-n"]),
        (.xfs(log: .keep), .readWrite, "xfs_repair", ["-e"]),
        (.xfs(log: .discard), .readWrite, "xfs_repair", ["-e", "-L"]),
        (.xfs(log: .keep), .readOnly, "xfs_repair", ["-n"]), (.xfs(log: .discard), .readOnly, "xfs_repair", ["-n"]),
    ]) func `the run is a full one`(checker: Checker, mode: DeviceAccess, program: String, arguments: [String]) {
        #expect(checker.program == program)
        #expect(checker.arguments(mode) == arguments)
    }

    @Test(
        arguments: [
            ("ext2", Checker.ext), ("ext3", .ext), ("ext4", .ext), ("vfat", .fat), ("xfs", .xfs(log: .keep)),
            ("btrfs", nil),
            ("ntfs", nil), ("", nil), ("jbd", nil), ("LVM2_member", nil),
        ] as [(String, Checker?)]) func `a filesystem has its checker`(type: String, checker: Checker?)
    {
        #expect(Checker(filesystem: type) == checker)
    }

    @Test func `the log of an XFS is discarded only where the user said so`() {
        #expect(Checker(filesystem: "xfs", allowing: [.noSandbox]) == .xfs(log: .keep))
        #expect(Checker(filesystem: "xfs", allowing: [.discardXFSLog]) == .xfs(log: .discard))
    }
}
