import CLinux
import Glibc

/// Names of files that others wrote: in a domain's XML, in an image's header.
public enum HostPath {
    /// Why a name must not be used; nil where it means the same file for everybody.
    ///
    /// One without a leading `/` means another file in each folder, and one that leads through `/proc` (`/dev/fd` and
    /// `/dev/stdin` do: proc_pid_fd(5)) another one in each process. It looks at the file: see ``Patience``.
    public static func problem(_ path: String) -> String? {
        guard path.hasPrefix("/") else {
            return
                "\(path): is no absolute path, and would be another file in each folder; give the whole path: virsh edit"
        }
        guard !leadsThroughProc(path) else {
            return
                "\(path): leads through /proc, which shows something else to every process; name the file itself: virsh edit"
        }
        return nil
    }

    /// Follows the links one by one, as path_resolution(7) does.
    private static func leadsThroughProc(_ path: String) -> Bool {
        var rest = components(path)[...]
        var place = ""
        var links = 0
        while let name = rest.popFirst() {
            guard name != ".." else {
                place = Files.folder(of: place.isEmpty ? "/" : place)
                if place == "/" { place = "" }
                continue
            }
            let next = "\(place)/\(name)"
            if isProc(next) { return true }
            let target = Files.link(of: next)
            guard !target.isEmpty else {
                place = next
                continue
            }
            links += 1
            // ELOOP: open(2) will say so.
            guard links <= 40 else { return false }
            if target.hasPrefix("/") { place = "" }
            rest = components(target) + rest
        }
        return false
    }

    private static func components(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init).filter { $0 != "." }
    }

    /// PROC_SUPER_MAGIC of linux/magic.h, wherever it is mounted.
    private static func isProc(_ path: String) -> Bool {
        var status = statfs()
        return statfs(path, &status) == 0 && status.f_type == 0x9FA0
    }
}
