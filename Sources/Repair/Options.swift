public import HostTools

/// What the user asked for.
public struct Options: Hashable, Sendable {
    /// Whether the disks may change.
    public enum Mode: String, Hashable, Sendable {
        /// Repair, and merge what was proven.
        case repair
        /// The same work on throw-away overlays: the disks stay bit for bit what they were.
        case check
    }

    /// When a proven repair is merged into the disk.
    public enum CommitPolicy: String, Hashable, Sendable, CaseIterable {
        /// As soon as the second run has proven it.
        case verified
        /// When the guest has booted with it.
        case afterBoot = "after-boot"
        /// Never: everything is done and shown, and thrown away.
        case never
    }

    /// Whether the domain is started afterwards.
    public enum StartPolicy: String, Hashable, Sendable, CaseIterable {
        /// When everything that could be checked is clean or repaired.
        case repaired
        /// Also with damage left.
        case always
        /// It stays off.
        case never
    }

    /// What becomes of a domain's managed save.
    public enum SavedState: String, Hashable, Sendable {
        /// It stays, and its domain is refused.
        case keep
        /// It is removed before a proven repair is merged, and at no other time.
        case discard
    }

    /// What is done with a domain that runs; a crashed one that is still there is destroyed in any case.
    public struct PowerOff: Hashable, Sendable {
        /// Whether it must be seen once more that a guest is dead.
        public enum Evidence: Hashable, Sendable {
            /// The user named the domain.
            case notNeeded
            /// It was chosen because it had failed.
            case required
        }

        /// Whether the guest is asked to shut down (`--shutdown`).
        public var asks = false
        /// Whether its plug is pulled, where it was not asked or did not react (`--force-off`).
        public var forces = false
        /// For how long it may take to shut down.
        public var patience = Duration.seconds(120)
        /// Whether it must be seen once more that the guest is dead.
        public var evidence = Evidence.notNeeded
    }

    /// Whether the disks may change.
    public var mode = Mode.repair
    /// What is done with a domain that runs.
    public var powerOff = PowerOff()
    /// How disks become block devices; nil takes the best that the host has.
    public var engine: EngineKind?
    /// When a proven repair is merged.
    public var commit = CommitPolicy.verified
    /// Whether the domain is started afterwards.
    public var start = StartPolicy.repaired
    /// For how long to wait for proof that the guest boots; zero doesn't wait.
    public var bootTimeout = Duration.seconds(120)
    /// Folder for the overlays; nil puts each beside its disk.
    public var scratchFolder: String?
    /// Folder for copies of the overlays whose repair loses too much to be merged; nil keeps none.
    public var keptOverlayFolder: String?
    /// What may be done although it can lose data.
    public var allowances: Set<Allowance> = []
    /// The program that counts what a repair cost: virt-fsck itself.
    public var program: OwnProgram?
    /// What becomes of a domain's managed save.
    public var savedState = SavedState.keep
    /// Folder under which each run keeps the checkers' output.
    public var logFolder = "/var/log/virt-fsck"

    /// Folder of the journals, by which interrupted runs are recovered.
    public var journalFolder = "/var/lib/virt-fsck/journal"

    /// What happens when nothing else is said.
    public init() {}
}

/// How a domain's disks become block devices of the host.
public enum EngineKind: String, Hashable, Sendable, Codable, CaseIterable {
    /// The kernel's network block device, by qemu-nbd(8).
    case nbd
    /// QEMU's FUSE export and a loop device: needs no kernel module.
    case fuse
}
