import CLinux
import Glibc
import SystemPackage

/// Who has a file open for writing, with no device in between: a userspace filesystem (`fuse2fs`), a copy that is being restored.
enum FileWriters {
    /// Filesystems whose leases are the kernel's own word (linux/magic.h: ext2/3/4, XFS, btrfs, tmpfs, overlayfs, F2FS); a
    /// network's fail for other reasons.
    private static let local: Set<UInt32> = [
        0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0xF2F5_2010,
    ]

    /// Whom a regular file's content depends on; QEMU's virtual machines are left out, whose own locks tell more.
    ///
    /// - Returns: words for each; empty where nobody has it open for writing, or that can't be told.
    static func words(of path: String) -> [String] {
        guard isWritten(path) else { return [] }
        let found = processes(writing: canonical(path))
        guard found.isEmpty else {
            return found.filter { !$0.program.hasPrefix("qemu-system") && $0.program != "qemu-kvm" }.map {
                "process \($0.pid) (\($0.program)) has it open for writing"
            }
        }
        // It may have ended meanwhile; of a process in a container the path is another one.
        return isWritten(path) ? ["somebody has it open for writing"] : []
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

    private static func canonical(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// By the kernel's names alone (proc_pid_fd(5)): looking at the files themselves could wait for a dead server.
    private static func processes(writing path: String) -> [(pid: Int32, program: String)] {
        Files.entries(of: "/proc").compactMap { Int32($0) }.sorted().compactMap { pid in
            let isWriter = Files.entries(of: "/proc/\(pid)/fd").contains { number in
                guard Files.link(of: "/proc/\(pid)/fd/\(number)") == path else { return false }
                let lines = Files.content(of: "/proc/\(pid)/fdinfo/\(number)", limit: 4096) ?? []
                let flags = String(decoding: lines, as: UTF8.self).split(separator: "\n").first {
                    $0.hasPrefix("flags:")
                }
                let mode = flags.flatMap { Int32($0.dropFirst(6).filter(\.isNumber), radix: 8) } ?? O_RDONLY
                return mode & O_ACCMODE != O_RDONLY
            }
            return isWriter ? (pid, Files.line(of: "/proc/\(pid)/comm") ?? "?") : nil
        }
    }
}
