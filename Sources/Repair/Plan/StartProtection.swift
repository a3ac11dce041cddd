import HostTools

/// Says which disks nothing keeps from being started from. Pure.
enum StartProtection {
    /// Kinds of domains that QEMU runs: those whose start libvirt's hook for QEMU is asked about.
    static let qemuTypes: Set = ["kvm", "qemu"]

    /// A warning where the hook is not asked and an image lock does not protect each disk.
    static func warning(for disks: [DiskPlan], of type: String, hook: StartHook) -> String? {
        let unprotected = disks.filter { !$0.hasImageLock }.map(\.target)
        guard qemuTypes.contains(type), !unprotected.isEmpty else { return nil }
        let remedy: String
        switch hook {
        case .active: return nil
        case .missing: remedy = "libvirt's hook would refuse it: install \(StartHook.path)"
        case .unseen(let daemon):
            remedy =
                "libvirt's hook would refuse it: restart \(daemon) once, which was started before \(StartHook.path) "
                + "was installed"
        }
        return "\(unprotected.joined(separator: ", ")): nothing keeps the domain from being started during the repair, "
            + "which would be noticed and the repair thrown away; \(remedy)"
    }
}

extension DiskPlan {
    /// Whether a lock on its image keeps QEMU from opening it: its own on a qcow2 file, ours on a raw one. QEMU in the mount
    /// namespace that libvirt makes for it has other nodes for block devices, which don't share locks with the host's.
    var hasImageLock: Bool { status?.kind != .blockDevice && canBeLocked }
}
