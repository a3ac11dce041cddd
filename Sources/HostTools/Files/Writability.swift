import CLinux
import Glibc
import SystemPackage

extension Files {
    /// Why root can't write to a disk image, with the way out; nil where it can. Nothing is written, and no time changes.
    ///
    /// - Parameter path: of a regular file or a block device.
    public static func writeProblem(_ path: String) -> String? {
        guard let status = try? FileStatus(of: path) else { return nil }
        if status.kind == .blockDevice {
            let number = DeviceNumber(dev: UInt(status.deviceNumber))
            guard line(of: "/sys/dev/block/\(number)/ro") == "1" else { return nil }
            return
                "\(path): the device is read-only; make it writable first: blockdev --setrw \(path), or a loop device without "
                + "--read-only"
        }
        // Opened for writing it shows what neither the mode nor access(2) tells: an append-only file, one that is swapped on.
        let descriptor = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor < 0 else {
            close(descriptor)
            return nil
        }
        switch errno {
        case EROFS:
            return "\(path): lies on a filesystem that is mounted read-only; remount it first: mount -o remount,rw …"
        case EPERM:
            return "\(path): is immutable or append-only (lsattr shows it); end that first: chattr -i -a \(path)"
        case ETXTBSY: return "\(path): is in use by the host as swap or as a program"
        case let code: return "\(path): can't be written: \(Errno(rawValue: code))"
        }
    }
}
