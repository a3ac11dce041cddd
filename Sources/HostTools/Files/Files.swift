import CLinux
import Glibc
public import SystemPackage

/// The few things we do to the host's files and folders.
public enum Files {
    /// Whether something is at `path`, symbolic links followed.
    public static func exists(_ path: String) -> Bool {
        access(path, F_OK) == 0
    }

    /// Whether this process runs as root.
    public static var isRoot: Bool { geteuid() == 0 }

    /// How many cores the host has for us.
    public static var coreCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    /// The number of this process.
    public static var processID: Int32 { getpid() }

    /// Makes a folder and the missing ones above it. One that is there already is fine.
    ///
    /// Whoever made `/var/lib/virt-fsck` for a thing of root's own must not shut QEMU's user out from the overlays that come
    /// to lie beside it: the folders above can be searched by everybody.
    ///
    /// - Parameter mode: of the folder; the umask plays no part.
    /// - Throws: `Errno`.
    public static func makeFolder(_ path: String, mode: UInt32 = 0o700) throws(Errno) {
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            let parent = String(path[..<slash])
            if !exists(parent) { try makeFolder(parent, mode: mode | 0o711) }
        }
        guard mkdir(path, mode) == 0 else {
            if errno == EEXIST { return }
            throw Errno(rawValue: errno)
        }
        guard chmod(path, mode) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Makes a folder that every user can go through and nobody but root can list, or makes one so that is there already.
    ///
    /// - Throws: `Errno`.
    public static func makeSearchableFolder(_ path: String) throws(Errno) {
        try makeFolder(path, mode: 0o711)
        guard chmod(path, 0o711) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Removes an empty folder. One that is gone already is fine.
    ///
    /// - Throws: `Errno`.
    public static func removeFolder(_ path: String) throws(Errno) {
        guard rmdir(path) == 0 || errno == ENOENT else { throw Errno(rawValue: errno) }
    }

    /// The last bytes of a file, as text.
    ///
    /// - Parameters:
    ///   - start: nothing that comes before it, in bytes.
    ///   - limit: how many bytes at most.
    /// - Throws: `Errno`.
    public static func end(of path: String, from start: Int64, limit: Int) throws -> String {
        let file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec])
        defer { try? file.close() }
        let end = try file.seek(offset: 0, from: .end)
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = try bytes.withUnsafeMutableBytes {
            try file.read(fromAbsoluteOffset: max(start, end - Int64(limit)), into: $0)
        }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Whether something is in a file of any length, which is read piece by piece.
    ///
    /// - Parameters:
    ///   - offset: where to begin, in bytes.
    ///   - longest: how long it is at most, in bytes: each piece begins with so much of the one before.
    ///   - isFound: told each piece; true ends the search.
    /// - Throws: `Errno` when the file can't be read.
    public static func contains(
        in path: String, from offset: Int64, longest: Int, _ isFound: ([UInt8]) -> Bool
    ) throws -> Bool {
        let file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec])
        defer { try? file.close() }
        var position = offset
        var carried: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try piece.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: position, into: $0) }
            guard count > 0 else { return false }
            position += Int64(count)
            let text = carried + piece[..<count]
            if isFound(text) { return true }
            carried = Array(text.suffix(longest))
        }
    }

    /// Makes an empty file that must not exist yet, readable by root only.
    ///
    /// - Throws: `Errno`.
    public static func create(_ path: String) throws(Errno) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        close(descriptor)
    }

    /// Deletes a file. One that is gone already is fine.
    ///
    /// - Throws: `Errno`.
    public static func remove(_ path: String) throws(Errno) {
        guard unlink(path) == 0 || errno == ENOENT else { throw Errno(rawValue: errno) }
    }

    /// Gives a file another name on the same filesystem, in one step; what had that name is gone (rename(2)).
    ///
    /// - Throws: `Errno`.
    public static func rename(_ path: String, to other: String) throws(Errno) {
        guard Glibc.rename(path, other) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Removes a folder with everything in it. Symbolic links are removed, not followed; one that is gone already is fine.
    ///
    /// - Throws: `Errno`; `EBUSY` where something is mounted in it.
    public static func removeTree(_ path: String) throws(Errno) {
        for name in entries(of: path) {
            let inner = "\(path)/\(name)"
            if unlink(inner) == 0 || errno == ENOENT { continue }
            guard errno == EISDIR || errno == EPERM else { throw Errno(rawValue: errno) }
            try removeTree(inner)
        }
        try removeFolder(path)
    }

    /// Names of what is in a folder, in no order; empty where it can't be read.
    public static func entries(of folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// The first `limit` bytes of a file or block device; nil where it can't be read, or is something else: a FIFO would wait for
    /// somebody who writes.
    public static func content(of path: String, limit: Int) -> [UInt8]? {
        guard let file = try? FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec, .nonBlocking])
        else {
            return nil
        }
        defer { try? file.close() }
        guard let kind = try? FileStatus(of: file).kind, kind == .regular || kind == .blockDevice else { return nil }
        var bytes: [UInt8] = []
        // Not as large as the limit at once: files are small, limits are not.
        var piece = [UInt8](repeating: 0, count: min(limit, 1 << 16))
        while bytes.count < limit {
            let wanted = min(piece.count, limit - bytes.count)
            guard
                let count = try? piece.withUnsafeMutableBytes({
                    try file.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<wanted]))
                })
            else { return nil }
            if count == 0 { break }
            bytes += piece[..<count]
        }
        return bytes
    }

    /// So many bytes of an open file or device, from `offset` on.
    ///
    /// - Throws: `Errno`; `EIO` where it ends before.
    public static func bytes(of file: FileDescriptor, at offset: UInt64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = try bytes.withUnsafeMutableBytes { buffer in
                try file.read(
                    fromAbsoluteOffset: Int64(clamping: offset) + Int64(filled),
                    into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            }
            guard got > 0 else { throw Errno.ioError }
            filled += got
        }
        return bytes
    }

    /// Whether a part of an open file or device holds zeros only.
    ///
    /// - Parameter size: in bytes.
    /// - Throws: `Errno`; `EIO` where it ends before.
    public static func isZero(_ file: FileDescriptor, from start: UInt64, size: UInt64) throws -> Bool {
        let piece: UInt64 = 1 << 20
        for offset in stride(from: 0, to: size, by: Int(piece)) {
            let bytes = try Self.bytes(of: file, at: start + offset, count: Int(min(piece, size - offset)))
            // Each byte is the one before, and the first is zero.
            let isZero = bytes.withUnsafeBytes { bytes in
                guard let first = bytes.baseAddress else { return true }
                return bytes[0] == 0 && memcmp(first, first + 1, bytes.count - 1) == 0
            }
            guard isZero else { return false }
        }
        return true
    }

    /// Writes a file for root only; one that is there already gets this content.
    ///
    /// - Throws: `Errno`, and others of the write.
    public static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try FileDescriptor.open(
            FilePath(path), .writeOnly, options: [.create, .truncate, .closeOnExec, .noFollow],
            permissions: [.ownerReadWrite])
        try file.closeAfter { _ = try file.writeAll(bytes) }
    }

    /// Writes a file that every user can read and nobody but root can change; one that is there already gets this content.
    /// The umask plays no part.
    ///
    /// - Throws: `Errno`, and others of the write.
    public static func writeReadable(_ bytes: [UInt8], to path: String) throws {
        try write(bytes, to: path)
        guard chmod(path, 0o644) == 0 else { throw Errno(rawValue: errno) }
    }

    /// The text of a small file without its last newline, such as one of sysfs; nil where it can't be read.
    public static func line(of path: String) -> String? {
        content(of: path, limit: 4096).map { bytes in
            String(decoding: bytes.last == UInt8(ascii: "\n") ? bytes.dropLast() : bytes[...], as: UTF8.self)
        }
    }

    /// The path without links, `.` and `..` (realpath(3)); the same path where nothing is there.
    public static func realPath(of path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// What tells this machine from others for good (machine-id(5)); its name where it has none.
    public static var machineID: String {
        if let id = line(of: "/etc/machine-id"), !id.isEmpty { return id }
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Where the filesystem is mounted that a path is on, by its name alone: nothing there is touched (proc_pid_mountinfo(5)).
    public static func mountPoint(of path: String) -> String {
        let table = String(decoding: content(of: "/proc/self/mountinfo", limit: 16 << 20) ?? [], as: UTF8.self)
        let points = table.split(separator: "\n").compactMap { line in
            line.split(separator: " ", maxSplits: 5).dropFirst(4).first.map(MountTable.unescaped)
        }
        return points.filter { $0 != "/" && (path == $0 || path.hasPrefix($0 + "/")) }.max { $0.count < $1.count }
            ?? "/"
    }

    /// What a symbolic link says, up to 4095 bytes; "" where it can't be read.
    public static func link(of path: String) -> String {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &bytes, bytes.count)
        return String(decoding: bytes[..<max(0, count)].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Whether somebody has a block device, or a partition of it, for himself: a mount, an array, a mapping (open(2): `O_EXCL`
    /// without `O_CREAT`).
    static func isClaimed(_ path: String) -> Bool {
        let descriptor = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC)
        guard descriptor < 0 else {
            close(descriptor)
            return false
        }
        return errno == EBUSY
    }

    /// Takes down everything that is mounted somewhere below a folder (proc_pid_mountinfo(5)).
    ///
    /// - Throws: `Errno`.
    public static func unmountAll(below folder: String) throws(Errno) {
        let table = content(of: "/proc/self/mountinfo", limit: 16 << 20) ?? []
        for line in String(decoding: table, as: UTF8.self).split(separator: "\n").reversed() {
            let fields = line.split(separator: " ")
            guard fields.count > 4, fields[4].hasPrefix(folder + "/") else { continue }
            try unmount(String(fields[4]))
        }
    }

    /// Takes what is mounted at `path` out of the folder tree at once, and down when nobody uses it any more. Where nothing
    /// is mounted, nothing happens.
    ///
    /// - Throws: `Errno`.
    public static func unmount(_ path: String) throws(Errno) {
        guard umount2(path, Int32(MNT_DETACH)) == 0 || errno == EINVAL || errno == ENOENT else {
            throw Errno(rawValue: errno)
        }
    }

    /// Brings a file's content, or a folder's entries, to the disk (fsync).
    ///
    /// - Throws: `Errno`.
    public static func sync(_ path: String) throws(Errno) {
        try withDescriptor(path) { fsync($0) }
    }

    /// Brings everything of the filesystem that holds `path` to its disk (syncfs).
    ///
    /// - Throws: `Errno`.
    public static func syncFilesystem(of path: String) throws(Errno) {
        try withDescriptor(path) { syncfs($0) }
    }

    /// Brings everything written through an open file to its disk, and tells of writes that were lost since it was opened.
    ///
    /// - Throws: `Errno`.
    public static func sync(_ descriptor: FileDescriptor) throws(Errno) {
        guard fsync(descriptor.rawValue) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Lets this process, and the programs that it starts, open as many files as its hard limit allows: a domain may have
    /// hundreds of disks.
    public static func raiseOpenFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// The folder that holds `path`: `/` for a name at the top.
    public static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// The time now in UTC, as `20260131T235959Z`.
    public static func timestamp() -> String {
        var now = time(nil)
        var fields = tm()
        gmtime_r(&now, &fields)
        var text = [CChar](repeating: 0, count: 32)
        let length = strftime(&text, text.count, "%Y%m%dT%H%M%SZ", &fields)
        return String(decoding: text[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private static func withDescriptor(_ path: String, _ body: (Int32) -> Int32) throws(Errno) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        guard body(descriptor) == 0 else { throw Errno(rawValue: errno) }
    }
}
