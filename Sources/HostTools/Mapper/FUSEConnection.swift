import CLinux
import Glibc

/// The kernel's side of a FUSE mount, as fusectl shows it (the kernel's `Documentation/filesystems/fuse.rst`).
public enum FUSEConnection {
    /// Lets the kernel send only one background request at a time to the server of the FUSE file `path`.
    ///
    /// QEMU before 10.0 needs it: its FUSE export reads the next request into the buffer of the write that it still works
    /// on, so that two writes under way at once (a loop device with direct I/O sends as many) leave the one's data in the
    /// other's place. One after the other they are right, and reading stays fast.
    ///
    /// - Parameter folder: an empty folder of ours, where fusectl is mounted for the moment.
    /// - Throws: ``DeviceError``; then nothing must be written through that file.
    public static func serialize(_ path: String, mountingAt folder: String) throws(DeviceError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .current(path, "stat") }
        guard mount("fusectl", folder, "fusectl", 0, nil) == 0 else {
            throw .current(folder, "mount fusectl")
        }
        defer { umount2(folder, Int32(MNT_DETACH)) }
        let file = "\(folder)/\(shim_minor(status.st_dev))/max_background"
        let descriptor = open(file, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .current(file, "open") }
        defer { close(descriptor) }
        guard write(descriptor, "1", 1) == 1 else { throw .current(file, "write") }
    }
}
