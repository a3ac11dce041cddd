/// Whether a connection leads to this machine.
public enum RemoteConnection {
    /// Why the disks of a connection's domains are not here, with the way out; nil where they are.
    ///
    /// - Parameter uri: as libvirt reports it: `driver[+transport]://[user@][host][:port]/…` (libvirt: Connection URIs).
    public static func problem(uri: String) -> String? {
        guard let schemeEnd = uri.firstRange(of: "://") else { return nil }
        let authority = uri[schemeEnd.upperBound...].prefix { $0 != "/" && $0 != "?" }
        let user = authority.lastIndex(of: "@").map { authority[...$0] } ?? ""
        let place = authority.dropFirst(user.count)
        let host: Substring
        let port: Substring
        if place.first == "[", let end = place.firstIndex(of: "]") {
            host = place[..<end].dropFirst()
            port = place[end...].dropFirst().drop { $0 == ":" }
        } else {
            host = place.prefix { $0 != ":" }
            port = place.dropFirst(host.count).drop { $0 == ":" }
        }
        guard !host.isEmpty, !["localhost", "127.0.0.1", "::1"].contains(host) else { return nil }
        // The port is that of the transport: only with ssh it is ssh's.
        let isSSH = uri[..<schemeEnd.lowerBound].contains("ssh")
        let option = isSSH && !port.isEmpty ? "-p \(port) " : ""
        return
            "\(uri): is another machine, its disks are not here; run virt-fsck there: ssh \(option)\(user)\(host) virt-fsck …"
    }
}
