import CLinux
import Glibc
import SystemPackage

/// A process of the host, as proc(5) shows it.
public struct HostProcess: Hashable, Sendable {
    /// Its number.
    public let pid: Int32
    /// Its name: the program's, cut to 15 bytes.
    public let name: String
    /// When it was started, in nanoseconds since 1970; 10 ms exact.
    public let startedAt: Int64

    /// Its `/`: below it is what the process sees in its mount namespace. For root only.
    public var root: String { "/proc/\(pid)/root" }

    /// Looks at a process; nil when it is gone.
    public init?(_ pid: Int32) {
        guard let name = Files.line(of: "/proc/\(pid)/comm"), let status = Files.line(of: "/proc/\(pid)/stat") else {
            return nil
        }
        // The name stands in parentheses and may hold anything: count from the last one. Field 22 is the start.
        let fields = status.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 19, let ticks = Int64(fields[19]) else { return nil }
        self.pid = pid
        self.name = name.split(separator: "\n").first.map(String.init) ?? ""
        let sinceBoot = ticks * (1_000_000_000 / Int64(sysconf(Int32(_SC_CLK_TCK))))
        startedAt = Self.now(CLOCK_REALTIME) - Self.now(CLOCK_BOOTTIME) + sinceBoot
    }

    /// Who listens on a Unix socket; nil where nobody does. For a socket that systemd made, it is systemd.
    public static func listening(on socket: String) -> HostProcess? {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard socket.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socket.utf8) }
        let connected = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        // unix(7): who called listen(2). struct ucred is declared only behind _GNU_SOURCE: pid, uid, gid.
        var peer: (pid: Int32, user: UInt32, group: UInt32) = (0, 0, 0)
        var length = socklen_t(MemoryLayout.size(ofValue: peer))
        guard connected == 0, getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 else { return nil }
        return HostProcess(peer.pid)
    }

    /// The processes of these names that are root's and see the same folders as we do.
    public static func named(_ names: Set<String>) -> [HostProcess] {
        let ours = Files.link(of: "/proc/self/ns/mnt")
        var found: [HostProcess] = []
        for name in Files.entries(of: "/proc") {
            guard let pid = Int32(name), let process = HostProcess(pid), names.contains(process.name),
                (try? FileStatus(of: "/proc/\(pid)"))?.userID == 0, Files.link(of: "/proc/\(pid)/ns/mnt") == ours
            else { continue }
            found.append(process)
        }
        return found
    }

    private static func now(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
