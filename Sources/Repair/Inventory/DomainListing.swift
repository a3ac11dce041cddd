public import Libvirt

/// A domain as `virt-fsck list` shows it.
public struct DomainListing: Hashable, Sendable {
    /// One of its disks.
    public struct Disk: Hashable, Sendable, Codable {
        /// The guest's name for it: `vda`.
        public var target: String
        /// Path of its image, or what else its XML names; "" for none.
        public var source: String
        /// QEMU's name of its format.
        public var format: String
    }

    /// What libvirt knows of it.
    public var summary: DomainSummary
    /// Why it counts as failed; nil where nothing speaks for that.
    public var evidence: String?
    /// Whether the evidence is the guest's own: it runs, and is dead all the same.
    public var isDeadGuest: Bool
    /// What makes one look twice, and proves nothing; nil where there is nothing.
    public var hint: String?
    /// Its disks in the XML's order; cdroms and floppies not.
    public var disks: [Disk]

    /// Whether it counts as failed.
    public var isFailed: Bool { evidence != nil }

    /// Describes a domain; tests do.
    public init(
        summary: DomainSummary, evidence: String?, isDeadGuest: Bool = false, hint: String? = nil, disks: [Disk]
    ) {
        self.summary = summary
        self.evidence = evidence
        self.isDeadGuest = isDeadGuest
        self.hint = hint
        self.disks = disks
    }
}
