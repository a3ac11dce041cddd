public import HostTools

/// A folder that overlays shall go into, as it stands before anything is planned.
public struct OverlayPlace: Hashable, Sendable {
    /// The folder itself; nil where it is missing.
    public var folder: FileStatus?
    /// The filesystem that it is on, or would be made on.
    public var filesystem: FilesystemStatus?
    /// A folder on the way to it, or itself, that QEMU's user may not search: `/srv (mode 0700)`.
    public var wall: String?
    /// Why nothing can be made and removed there; nil where it can, or the folder is missing.
    public var writeProblem: String?

    /// Describes a place; tests do.
    public init(
        folder: FileStatus?, filesystem: FilesystemStatus?, wall: String? = nil, writeProblem: String? = nil
    ) {
        self.folder = folder
        self.filesystem = filesystem
        self.wall = wall
        self.writeProblem = writeProblem
    }

    /// Looks at a folder.
    ///
    /// - Parameter user: QEMU's user, where it is known.
    init(_ path: String, searchedBy user: QemuUser?) {
        folder = try? FileStatus(of: path)
        writeProblem = Files.writeProblem(path)
        var place = path
        while !Files.exists(place), place != "/" { place = Files.folder(of: place) }
        filesystem = try? FilesystemStatus(of: place)
        guard let user, user.userID != 0 else { return }
        while true {
            // An ACL may let QEMU's user in: that is not for us to tell.
            if let status = try? FileStatus(of: place), (try? FileAttributes(of: place))?.hasACL != true,
                !user.canSearch(status)
            {
                wall = "\(place) (mode 0\(String(status.mode & 0o777, radix: 8)))"
            }
            guard place != "/" else { return }
            place = Files.folder(of: place)
        }
    }

    /// Where the overlay of a disk goes.
    ///
    /// - Parameter scratchFolder: what the user asked for; nil puts it beside the disk.
    static func folder(for disk: DiskInventory, scratchFolder: String?) -> String {
        if let scratchFolder { return scratchFolder }
        // Of a disk that is only read, the folder may be read-only too, and QEMU never starts from its overlay.
        guard let path = disk.path, disk.status?.kind != .blockDevice, !disk.disk.isReadOnly else {
            return "/var/lib/virt-fsck/overlays"
        }
        return Files.folder(of: path)
    }
}
