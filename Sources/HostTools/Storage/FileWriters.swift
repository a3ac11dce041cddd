import CLinux
import Glibc
import SystemPackage

/// Who has a file or device open for writing, with no other device in between: a userspace filesystem (`fuse2fs`), a copy that is
/// being restored, a machine of QEMU's that locks nothing.
enum FileWriters {
    /// Filesystems whose leases are the kernel's own word (linux/magic.h: ext2/3/4, XFS, btrfs, tmpfs, overlayfs, F2FS); a
    /// network's fail for other reasons.
    private static let local: Set<UInt32> = [
        0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0xF2F5_2010,
    ]

    /// Who writes to a regular file.
    ///
    /// - Parameter machine: the UUID of a domain whose own QEMU is left out: libvirt knows of that.
    /// - Returns: words for each; empty where nobody has it open for writing, or that can't be told.
    static func words(ofFile path: String, besides machine: String) -> [String] {
        guard isWritten(path) else { return [] }
        let name = Files.realPath(of: path)
        let found = processes { $0 == name }
        // It may have ended meanwhile; of a process in a container the path is another one.
        guard !found.isEmpty else { return isWritten(path) ? ["somebody has it open for writing"] : [] }
        return words(of: found, besides: machine)
    }

    /// Who writes to any of these block devices by a node in /dev.
    static func words(ofDevices numbers: Set<DeviceNumber>, besides machine: String) -> [String] {
        var known: [String: Bool] = [:]
        let found = processes { path in
            guard path.hasPrefix("/dev/") else { return false }
            if let known = known[path] { return known }
            let status = try? FileStatus(of: path)
            let isOurs = status.flatMap(StorageNode.init).map { node in
                if case .device(let number) = node { numbers.contains(number) } else { false }
            }
            known[path] = isOurs ?? false
            return isOurs ?? false
        }
        return words(of: found, besides: machine)
    }

    private static func words(of found: [(pid: Int32, program: String)], besides machine: String) -> [String] {
        found.filter { !isMachine($0.pid, machine) }.map { "process \($0.pid) (\($0.program)) has it open for writing" }
    }

    /// fcntl(2): a read lease is refused with EAGAIN while somebody has the file open for writing.
    private static func isWritten(_ path: String) -> Bool {
        var system = statfs()
        guard statfs(path, &system) == 0, local.contains(UInt32(truncatingIfNeeded: system.f_type)) else {
            return false
        }
        let file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return shim_is_written(file) == 1
    }

    /// Whether a process is the QEMU of a domain, whatever its program is called: libvirt gives it `-uuid`.
    private static func isMachine(_ pid: Int32, _ uuid: String) -> Bool {
        let line = Files.content(of: "/proc/\(pid)/cmdline", limit: 1 << 20) ?? []
        let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return zip(words, words.dropFirst()).contains { $0 == "-uuid" && $1 == uuid }
    }

    /// By the kernel's names alone (proc_pid_fd(5)): looking at the files themselves could wait for a dead server.
    private static func processes(writing isWanted: (String) -> Bool) -> [(pid: Int32, program: String)] {
        Files.entries(of: "/proc").compactMap { Int32($0) }.sorted().compactMap { pid in
            let isWriter = Files.entries(of: "/proc/\(pid)/fd").contains { number in
                guard isWanted(Files.link(of: "/proc/\(pid)/fd/\(number)")) else { return false }
                let text = String(
                    decoding: Files.content(of: "/proc/\(pid)/fdinfo/\(number)", limit: 4096) ?? [], as: UTF8.self)
                let flags = text.split(separator: "\n").first { $0.hasPrefix("flags:") }
                let mode = flags.flatMap { Int32($0.dropFirst(6).filter(\.isNumber), radix: 8) } ?? O_RDONLY
                return mode & O_ACCMODE != O_RDONLY
            }
            return isWriter ? (pid, Files.line(of: "/proc/\(pid)/comm") ?? "?") : nil
        }
    }
}
