/// What libvirt knows about a domain without its XML, at one moment.
public struct DomainSummary: Hashable, Sendable {
    /// Which domain.
    public let id: DomainID
    /// libvirt's number of a running domain; nil when it is inactive.
    public let numericID: Int?
    /// What it does.
    public let state: DomainState
    /// Why.
    public let reason: StateReason
    /// Whether it has a configuration that outlives a shutdown.
    public let isPersistent: Bool
    /// Whether the hypervisor has it: running, paused, suspended, being shut down, or crashed and kept.
    public let isActive: Bool
    /// Whether libvirt starts it when the host boots.
    public let autostart: Bool
    /// Whether its memory is saved (`virsh managedsave`), so that its next start continues from there.
    public let hasManagedSave: Bool
    /// How many snapshots it has; 0 where the driver has none.
    public let snapshotCount: Int
    /// How many checkpoints it has; 0 where the driver has none.
    public let checkpointCount: Int

    /// Makes a summary from its parts; libvirt's own come from ``Connection/summary(of:)``.
    ///
    /// - Parameters: as the properties.
    public init(
        id: DomainID, numericID: Int?, state: DomainState, reason: StateReason, isPersistent: Bool, isActive: Bool,
        autostart: Bool, hasManagedSave: Bool, snapshotCount: Int, checkpointCount: Int
    ) {
        self.id = id
        self.numericID = numericID
        self.state = state
        self.reason = reason
        self.isPersistent = isPersistent
        self.isActive = isActive
        self.autostart = autostart
        self.hasManagedSave = hasManagedSave
        self.snapshotCount = snapshotCount
        self.checkpointCount = checkpointCount
    }
}
