internal import CLibvirt

/// What a domain does (`virDomainState` in `libvirt/libvirt-domain.h`).
public enum DomainState: String, Hashable, Sendable, Codable, CaseIterable {
    /// The hypervisor doesn't say, or said something newer than this list.
    case nostate
    /// It runs.
    case running
    /// It waits for a resource (Xen).
    case blocked
    /// Its CPUs are stopped; its memory and its disks are held.
    case paused
    /// It is being shut down; it still runs.
    case shutdown
    /// It is off.
    case shutoff
    /// It crashed, and the hypervisor keeps it (`on_crash` preserve), or it crashed and is gone.
    case crashed
    /// The guest suspended itself to memory.
    case pmsuspended

    init(_ number: Int32) {
        switch virDomainState(UInt32(bitPattern: number)) {
        case VIR_DOMAIN_RUNNING: self = .running
        case VIR_DOMAIN_BLOCKED: self = .blocked
        case VIR_DOMAIN_PAUSED: self = .paused
        case VIR_DOMAIN_SHUTDOWN: self = .shutdown
        case VIR_DOMAIN_SHUTOFF: self = .shutoff
        case VIR_DOMAIN_CRASHED: self = .crashed
        case VIR_DOMAIN_PMSUSPENDED: self = .pmsuspended
        default: self = .nostate
        }
    }
}
