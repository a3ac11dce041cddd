/// Something on a domain's disks that a checker may be asked about: a partition, a logical volume, a whole disk.
public struct Volume: Hashable, Sendable {
    /// What is in it.
    public enum Content: Hashable, Sendable {
        /// A filesystem, by libblkid's name of the type.
        case filesystem(type: String)
        /// An LVM physical volume. What is left of these after discovery belongs to no volume group.
        case physicalVolume
        /// Nothing that is ever checked (swap, a boot loader's partition), and what it is.
        case nothingToCheck(type: String, why: String)
        /// Known, but nothing here can check it: type and the reason.
        case unsupported(type: String, why: String)
        /// It can't be said what it is, or it must not be touched: type where known, and why.
        case unclear(type: String, why: String)
    }

    /// `vda1`, `VolGroup00/LogVol00`; from the guest: escape it before it reaches a terminal.
    public var name: String
    /// Where its bytes are; nil where that could not be found out.
    public var layout: Layout?
    /// What is in it.
    public var content: Content
    /// The filesystem's label, from the guest.
    public var label: String?
    /// The filesystem's UUID.
    public var uuid: String?
    /// Size in bytes.
    public var size: UInt64
    /// The disk in whose report it stands: the one that holds its first byte.
    public var disk: String
    /// What should be said about it besides the verdict.
    public var remark: String?
    /// libblkid's names of every signature in it, whatever ``content`` makes of them.
    var signatureTypes: Set<String> = []
    /// Whether a boot sector calls it NTFS.
    var hasNTFSBootSector = false
    /// Whether its partition's type says that it is a part of Windows's dynamic disks or storage pools.
    var isPartOfWindows = false
    /// How many bytes its tree of hashes is for, where it is one of dm-verity.
    var verifiedSize: UInt64?

    /// libblkid's name of what is in it; "" where nothing was recognised.
    public var type: String {
        switch content {
        case .physicalVolume: "LVM2_member"
        case .filesystem(let type), .nothingToCheck(let type, _), .unsupported(let type, _), .unclear(let type, _): type
        }
    }
}
