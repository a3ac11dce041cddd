import FoundationEssentials
import HostTools

/// Where libvirt keeps the domains' XML (libvirt: "Location of configuration files").
enum LibvirtConfiguration {
    /// The system daemon's folder and that of this user's session daemon.
    static var folders: [String] {
        let environment = ProcessInfo.processInfo.environment
        let home = environment["HOME"] ?? "/root"
        let configuration = environment["XDG_CONFIG_HOME"] ?? "\(home)/.config"
        return ["/etc/libvirt/qemu", "\(configuration)/libvirt/qemu"]
    }

    /// Why libvirt can't be given another XML of a domain, with the way out; nil where it can, or keeps none here. It writes another
    /// file and renames that (virFileRewrite), and defines no domain whose QEMU can't be asked what it can do.
    static func writeProblem(of domain: DomainDescription, named name: String) -> String? {
        if domain.emulator.hasPrefix("/"), StartProtection.qemuTypes.contains(domain.type),
            !Files.exists(domain.emulator)
        {
            return "its emulator \(domain.emulator) is missing; install it, or name another: virsh edit \(name)"
        }
        let places = folders.filter { Files.exists("\($0)/\(name).xml") }
        return places.lazy.compactMap { Files.writeProblem("\($0)/\(name).xml") ?? Files.writeProblem($0) }.first
    }
}
