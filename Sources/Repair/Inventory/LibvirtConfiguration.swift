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

    /// Why libvirt can't replace the XML that it keeps of a domain (it writes another file and renames that: virFileRewrite), with
    /// the way out; nil where it can, or keeps none here.
    static func writeProblem(ofDomain name: String) -> String? {
        folders.lazy.compactMap { Files.writeProblem("\($0)/\(name).xml") }.first
    }
}
