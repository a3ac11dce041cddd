extension LifecycleEvent {
    /// Why it happened, for the events that end or halt a domain (`virDomainEventStoppedDetailType`,
    /// `virDomainEventSuspendedDetailType`, `virDomainEventShutdownDetailType`, `virDomainEventCrashedDetailType` in
    /// `libvirt/libvirt-domain.h`).
    public enum Reason: String, Hashable, Sendable, Codable {
        /// Not known, newer than this list, or an event of another kind.
        case unknown
        /// Stopped: the guest shut down.
        case shutdown
        /// Stopped: a forced power off.
        case destroyed
        /// Stopped: the hypervisor's process ended unexpectedly, or the guest panicked and is configured to be destroyed then.
        case crashed
        /// Stopped or suspended: it went to another host.
        case migrated
        /// Stopped: saved to a file.
        case saved
        /// Stopped: the hypervisor failed to start or to go on.
        case failed
        /// Stopped or suspended: a snapshot was reverted to.
        case fromSnapshot = "from snapshot"
        /// Suspended: somebody asked for it.
        case paused
        /// Suspended: an I/O error of a disk.
        case ioError = "I/O error"
        /// Suspended: the watchdog fired.
        case watchdog
        /// Suspended: restored from a saved state that was paused.
        case restored
        /// Suspended: a call of libvirt failed in the middle.
        case apiError = "API error"
        /// Suspended: a post-copy migration.
        case postCopy = "post-copy"
        /// Suspended: a post-copy migration failed.
        case postCopyFailed = "post-copy failed"
        /// Shutdown: the hypervisor finished it, by whomever it was asked for.
        case finished
        /// Shutdown: from inside the guest.
        case guest
        /// Shutdown: from the host.
        case host
        /// Crashed: the guest panicked, and said so through its panic device.
        case panicked
        /// Crashed: the guest panicked, and its crash kernel took over.
        case crashLoaded = "crash loaded"
    }

    /// Why it happened; see ``Reason``. ``detail`` is the number behind it.
    public var reason: Reason {
        let reasons: [Reason] =
            switch event {
            case .stopped: [.shutdown, .destroyed, .crashed, .migrated, .saved, .failed, .fromSnapshot]
            case .suspended:
                [
                    .paused, .migrated, .ioError, .watchdog, .restored, .fromSnapshot, .apiError, .postCopy,
                    .postCopyFailed,
                ]
            case .shutdown: [.finished, .guest, .host]
            case .crashed: [.panicked, .crashLoaded]
            case .defined, .undefined, .started, .resumed, .pmsuspended, .rebooted, .unknown: []
            }
        return reasons.indices.contains(Int(detail)) ? reasons[Int(detail)] : .unknown
    }
}
