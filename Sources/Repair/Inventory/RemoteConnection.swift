/// Whether a connection leads to this machine.
public enum RemoteConnection {
    /// Why the disks of a connection's domains are not here, with the way out; nil where they are.
    ///
    /// - Parameter uri: as libvirt reports it: `driver[+transport]://[user@][host][:port]/…` (libvirt: Connection URIs).
    public static func problem(uri: String) -> String? {
        guard let schemeEnd = uri.firstRange(of: "://") else { return nil }
        let authority = uri[schemeEnd.upperBound...].prefix { $0 != "/" && $0 != "?" }
        let host = authority.split(separator: "@").last.map(String.init) ?? ""
        let name = host.split(separator: ":").first.map(String.init) ?? ""
        guard !name.isEmpty, name != "localhost" else { return nil }
        return "\(uri): is another machine, its disks are not here; run virt-fsck there: ssh \(authority) virt-fsck …"
    }
}
