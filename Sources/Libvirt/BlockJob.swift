internal import CLibvirt

/// What a block job does (`virDomainBlockJobType` in `libvirt/libvirt-domain.h`).
public enum BlockJobKind: String, Hashable, Sendable, Codable {
    /// Copies the backing files into the disk.
    case pull
    /// Mirrors the disk to another place.
    case copy
    /// Merges an inner layer into the one below.
    case commit
    /// Merges the active layer into the one below, and follows it until it is pivoted or aborted.
    case activeCommit = "active-commit"
    /// Backs the disk up.
    case backup
    /// Newer than this list.
    case unknown

    init(_ number: Int32) {
        switch virDomainBlockJobType(UInt32(bitPattern: number)) {
        case VIR_DOMAIN_BLOCK_JOB_TYPE_PULL: self = .pull
        case VIR_DOMAIN_BLOCK_JOB_TYPE_COPY: self = .copy
        case VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT: self = .commit
        case VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT: self = .activeCommit
        case VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP: self = .backup
        default: self = .unknown
        }
    }
}

/// How far a block job is (`virDomainBlockJobInfo`).
public struct BlockJob: Hashable, Sendable {
    /// What it does.
    public let kind: BlockJobKind
    /// Its limit in bytes per second; 0 is none.
    public let bandwidth: UInt64
    /// Where it is, between 0 and ``end``; the unit is the hypervisor's, QEMU's is bytes.
    public let current: UInt64
    /// Where it will be done. An active commit or copy at its end waits for a pivot or an abort.
    public let end: UInt64

    /// Makes a value from its parts; libvirt's own come from ``Connection/blockJob(of:disk:)``.
    ///
    /// - Parameters: as the properties.
    public init(kind: BlockJobKind, bandwidth: UInt64, current: UInt64, end: UInt64) {
        self.kind = kind
        self.bandwidth = bandwidth
        self.current = current
        self.end = end
    }
}

/// How a commit works (`virDomainBlockCommitFlags` in `libvirt/libvirt-domain.h`).
public struct BlockCommitOptions: OptionSet, Hashable, Sendable {
    /// libvirt's flags.
    public let rawValue: UInt32

    /// Wraps libvirt's flags.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// A base of nil is the file below the top, not the deepest one.
    public static let shallow = BlockCommitOptions(rawValue: VIR_DOMAIN_BLOCK_COMMIT_SHALLOW.rawValue)
    /// Delete the files that are no longer needed; the QEMU driver may refuse it.
    public static let delete = BlockCommitOptions(rawValue: VIR_DOMAIN_BLOCK_COMMIT_DELETE.rawValue)
    /// Allow the active layer as the top; the job then waits for a pivot or an abort.
    public static let active = BlockCommitOptions(rawValue: VIR_DOMAIN_BLOCK_COMMIT_ACTIVE.rawValue)
    /// Keep relative names of backing files relative.
    public static let relative = BlockCommitOptions(rawValue: VIR_DOMAIN_BLOCK_COMMIT_RELATIVE.rawValue)
}
