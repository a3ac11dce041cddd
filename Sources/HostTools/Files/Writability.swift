import CLinux
import Glibc
import SystemPackage

extension Files {
    /// Why root can't write to a file or block device, or make and remove files in a folder, with the way out; nil where it can, or
    /// where nothing of these is there: to open a character device can do something by itself. Nothing is written, and no time changes.
    public static func writeProblem(_ path: String) -> String? {
        guard let status = try? FileStatus(of: path) else { return nil }
        switch status.kind {
        case .blockDevice:
            let number = DeviceNumber(dev: UInt(status.deviceNumber))
            guard line(of: "/sys/dev/block/\(number)/ro") == "1" else { return nil }
            return
                "\(path): the device is read-only; make it writable first: blockdev --setrw \(path), or a loop device without "
                + "--read-only"
        case .directory:
            guard access(path, W_OK) == 0 else { return words(for: errno, path) }
            // Files could be made there, and not be removed.
            return isAppendOnly(path) ? words(for: EPERM, path) : nil
        case .regular:
            // Opened for writing it shows what neither the mode nor access(2) tells: an append-only file, one that is swapped on.
            let descriptor = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            guard descriptor < 0 else {
                close(descriptor)
                return nil
            }
            return words(for: errno, path)
        case .fifo, .other: return nil
        }
    }

    private static func words(for code: CInt, _ path: String) -> String {
        switch code {
        case EROFS: "\(path): lies on a filesystem that is mounted read-only; remount it first: mount -o remount,rw …"
        case EPERM: "\(path): is immutable or append-only (lsattr -d shows it); end that first: chattr -i -a \(path)"
        case ETXTBSY: "\(path): is in use by the host as swap or as a program"
        default: "\(path): can't be written: \(Errno(rawValue: code))"
        }
    }

    private static func isAppendOnly(_ folder: String) -> Bool {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return shim_is_append_only(descriptor) == 1
    }
}
