/// How one kind of filesystem is checked: the program, its arguments, and what its exit status claims.
///
/// What an exit status *proves* is decided elsewhere, from two runs.
public enum Checker: Hashable, Sendable {
    /// e2fsck(8). Without `-f` it believes a superblock that says clean.
    case ext
    /// fsck.fat(8).
    case fat
    /// xfs_repair(8). With `-L` it throws away what the log has and the filesystem has not: the user must have said so.
    case xfs(log: XFSLog)

    /// What happens to the changes in the log of an XFS that was not unmounted.
    public enum XFSLog: Hashable, Sendable {
        case keep
        case discard
    }

    /// What a run claims about the filesystem.
    public enum Claim: Hashable, Sendable {
        /// Nothing was wrong.
        case nothingWrong
        /// Something was wrong, and all of it was repaired.
        case repaired
        /// Something is wrong still.
        case errorsLeft
        /// The program could not do its work; the text says why in words for the report.
        case gaveUp(String)
    }

    /// The checker for a filesystem, by libblkid's name of the type; nil where we have none.
    ///
    /// - Parameter allowances: what the user allowed although it can lose data.
    public init?(filesystem type: String, allowing allowances: Set<Allowance> = []) {
        switch type {
        case "ext2", "ext3", "ext4": self = .ext
        case "vfat": self = .fat
        case "xfs": self = .xfs(log: allowances.contains(.discardXFSLog) ? .discard : .keep)
        default: return nil
        }
    }

    /// The exit status of xfs_repair(8) for a log that holds changes, which only a mount can replay.
    public static let xfsNeedsReplay: Int32 = 2

    /// The program's name.
    public var program: String {
        switch self {
        case .ext: "e2fsck"
        case .fat: "fsck.fat"
        case .xfs: "xfs_repair"
        }
    }

    /// What it needs in its sandbox beside the device.
    public var need: Sandbox.Need {
        switch self {
        case .xfs: .threads
        case .ext, .fat: .nothing
        }
    }

    /// Arguments of a full run, without the device, which comes last.
    ///
    /// - Parameter mode: `.readWrite` repairs everything that can be repaired; `.readOnly` writes nothing.
    public func arguments(_ mode: DeviceAccess) -> [String] {
        switch (self, mode) {
        case (.ext, .readWrite): ["-f", "-y"]
        case (.ext, .readOnly): ["-f", "-n"]
        case (.fat, .readWrite): ["-a"]
        case (.fat, .readOnly): ["-n"]
        case (.xfs(log: .keep), .readWrite): ["-e"]
        case (.xfs(log: .discard), .readWrite): ["-e", "-L"]
        case (.xfs, .readOnly): ["-n"]
        }
    }

    /// What a finished run claims.
    public func claim(of status: CommandStatus, _ mode: DeviceAccess) -> Claim {
        guard case .exited(let code) = status else { return .gaveUp("\(program) \(status)") }
        switch (self, mode, code) {
        case (_, _, 0):
            return .nothingWrong
        // A sum of bits: 1 repaired, 2 repaired and the system should be rebooted, 4 errors left; 8 operational, 16
        // usage, 32 cancelled and 128 library are those of a program that gave up.
        case (.ext, .readWrite, 1...3):
            return .repaired
        case (.ext, _, 1...7):
            return .errorsLeft
        // 1: errors, with -a repaired as far as it can. 2: usage.
        case (.fat, .readWrite, 1):
            return .repaired
        case (.fat, .readOnly, 1):
            return .errorsLeft
        // With -e, 4: errors found and repaired. 2: a log that only a mount can replay.
        case (.xfs, .readWrite, 4):
            return .repaired
        case (.xfs, .readWrite, Self.xfsNeedsReplay):
            return .gaveUp(
                "its log holds changes that only a mount can replay; boot the guest once, or give those changes up "
                    + "with --allow \(Allowance.discardXFSLog.rawValue)")
        case (.xfs, .readOnly, 1):
            return .errorsLeft
        default:
            return .gaveUp("\(program) gave up (\(status))")
        }
    }
}

/// Something that can lose data and is done only when the user said its name: `--allow NAME`.
public enum Allowance: String, Hashable, Sendable, CaseIterable, Codable {
    /// Run `xfs_repair -L` on an XFS: the changes in its log are lost.
    case discardXFSLog = "discard-xfs-log"
    /// Merge a repair that lost more than a tenth of the files, or the root folder.
    case heavyLoss = "heavy-loss"
    /// Run checkers and lvm without bubblewrap's walls, where it is missing.
    case noSandbox = "no-sandbox"
}
