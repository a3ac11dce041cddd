/// Why a domain is in its state; the raw value is the word of `virsh domstate --reason`.
///
/// The numbers are per state (`virDomainRunningReason`, `virDomainPausedReason`, `virDomainShutdownReason`,
/// `virDomainShutoffReason`, `virDomainCrashedReason` in `libvirt/libvirt-domain.h`), the words are those of libvirt's
/// `tools/virsh-domain-monitor.c`. libvirt keeps the reason in the daemon's memory: after its restart it is `unknown`.
public enum StateReason: String, Hashable, Sendable, Codable, CaseIterable {
    /// Not known, or newer than this list.
    case unknown
    /// Running: started normally.
    case booted
    /// Running: came from another host. Shut off: went to another host.
    case migrated
    /// Running: restored from a state file.
    case restored
    /// Running, paused or shut off: a snapshot was reverted to.
    case fromSnapshot = "from snapshot"
    /// Running: resumed.
    case unpaused
    /// Running: a migration was cancelled.
    case migrationCanceled = "migration canceled"
    /// Running: a save was cancelled.
    case saveCanceled = "save canceled"
    /// Running: woken up.
    case wakeup = "event wakeup"
    /// Running: resumed from crashed. Paused: the guest crashed. Shut off: the hypervisor's process ended unexpectedly.
    case crashed
    /// Running or paused: in a post-copy migration.
    case postCopy = "post-copy"
    /// Running or paused: a post-copy migration failed.
    case postCopyFailed = "post-copy failed"
    /// Paused or shutting down: the user asked for it.
    case user
    /// Paused: for a migration.
    case migrating
    /// Paused: for a save.
    case saving
    /// Paused: for a core dump.
    case dumping
    /// Paused: an I/O error of a disk.
    case ioError = "I/O error"
    /// Paused: the watchdog fired.
    case watchdog
    /// Paused: while it is being shut down.
    case shuttingDown = "shutting down"
    /// Paused: while a snapshot is taken.
    case creatingSnapshot = "creating snapshot"
    /// Paused: while it is being started.
    case startingUp = "starting up"
    /// Shut off: normally.
    case shutdown
    /// Shut off: by a forced power off.
    case destroyed
    /// Shut off: saved to a file.
    case saved
    /// Shut off: it failed to start.
    case failed
    /// Shut off: the daemon ended it.
    case daemon
    /// Crashed: the guest panicked.
    case panicked

    init(_ number: Int32, of state: DomainState) {
        let reasons = Self.inOrder(of: state)
        self = reasons.indices.contains(Int(number)) ? reasons[Int(number)] : .unknown
    }

    /// The reasons of a state, each at the index that is its number in the header.
    private static func inOrder(of state: DomainState) -> [StateReason] {
        switch state {
        case .running:
            [
                .unknown, .booted, .migrated, .restored, .fromSnapshot, .unpaused, .migrationCanceled, .saveCanceled,
                .wakeup, .crashed, .postCopy, .postCopyFailed,
            ]
        case .paused:
            [
                .unknown, .user, .migrating, .saving, .dumping, .ioError, .watchdog, .fromSnapshot, .shuttingDown,
                .creatingSnapshot, .crashed, .startingUp, .postCopy, .postCopyFailed,
            ]
        case .shutdown: [.unknown, .user]
        case .shutoff:
            [.unknown, .shutdown, .destroyed, .crashed, .migrated, .saved, .failed, .fromSnapshot, .daemon]
        case .crashed: [.unknown, .panicked]
        case .nostate, .blocked, .pmsuspended: [.unknown]
        }
    }
}
