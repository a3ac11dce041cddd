import Libvirt

/// Why a domain counts as failed. Pure.
enum FailureEvidence {
    /// What libvirt itself knows that speaks for a failure; nil where it knows nothing.
    ///
    /// That a domain runs is no proof that its guest does: its console tells (``Survey``).
    static func inState(of summary: DomainSummary) -> String? {
        switch (summary.state, summary.reason) {
        case (.crashed, let reason): "libvirt says crashed (\(reason.rawValue))"
        case (.shutoff, .crashed): "its QEMU ended unexpectedly (shut off: crashed)"
        case (.shutoff, .failed): "it failed to start (shut off: failed)"
        case (.paused, .ioError): "an I/O error of a disk paused it"
        case (.paused, .crashed): "its guest crashed, and was paused"
        default:
            summary.autostart && !summary.isActive ? "it is to start with the host (autostart), and doesn't run" : nil
        }
    }
}
