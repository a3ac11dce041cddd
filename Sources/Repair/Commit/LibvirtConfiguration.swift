import FoundationEssentials

/// Where libvirt keeps the domains' XML (libvirt: "Location of configuration files").
enum LibvirtConfiguration {
    /// The system daemon's folder and that of this user's session daemon.
    static var folders: [String] {
        let environment = ProcessInfo.processInfo.environment
        let home = environment["HOME"] ?? "/root"
        let configuration = environment["XDG_CONFIG_HOME"] ?? "\(home)/.config"
        return ["/etc/libvirt/qemu", "\(configuration)/libvirt/qemu"]
    }
}
