import HostTools

/// What a guest's /etc/fstab mounts (fstab(5)). Pure; the text is the guest's.
struct Fstab: Hashable, Sendable {
    /// By what a line names its filesystem.
    enum Source: Hashable, Sendable {
        case uuid(String)
        case label(String)
        case partitionUUID(String)
        case partitionLabel(String)
        /// A logical volume, by `/dev/GROUP/NAME` or device-mapper's name for it.
        case logicalVolume(group: String, name: String)
        /// A device by a name that the guest gives, a network share, nothing at all.
        case other
    }

    /// A line of it.
    struct Entry: Hashable, Sendable {
        /// What the line says, for the report.
        var specification: String
        /// What that means.
        var source: Source
        /// Where it is mounted; `none` or `swap` for swap space.
        var mountPoint: String
        /// The filesystem's type.
        var type: String
        /// Whether the guest boots without it.
        var isOptional: Bool
    }

    /// The lines that name something.
    var entries: [Entry]

    /// A guest has some dozens of lines.
    private static var lineLimit: Int { 1000 }

    /// Reads the text of the file.
    init(_ text: String) {
        entries = text.split(whereSeparator: \.isNewline).prefix(Self.lineLimit).compactMap { line in
            let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard fields.count >= 2, !fields[0].hasPrefix("#") else { return nil }
            let specification = MountTable.unescaped(fields[0])
            let options = fields.count > 3 ? fields[3].split(separator: ",") : []
            return Entry(
                specification: specification, source: Source(specification),
                mountPoint: MountTable.unescaped(fields[1]),
                type: fields.count > 2 ? String(fields[2]) : "",
                isOptional: options.contains { ["noauto", "nofail", "nobootwait"].contains($0) })
        }
    }

    /// What is mounted there.
    func entry(mountedAt mountPoint: String) -> Entry? {
        entries.last { $0.mountPoint == mountPoint || $0.mountPoint == mountPoint + "/" }
    }
}

extension Fstab.Source {
    /// Reads the first field of a line.
    init(_ specification: String) {
        let tag = specification.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if tag.count == 2, let source = Self.tagged(String(tag[0]).uppercased(), Self.unquoted(tag[1])) {
            self = source
            return
        }
        let path = specification.split(separator: "/").map(String.init)
        guard specification.hasPrefix("/dev/"), path.count >= 3 else {
            self = .other
            return
        }
        switch (path[1], path.count) {
        case ("disk", 4): self = Self.linked(path[2], path[3])
        case ("mapper", 3): self = Self.mapped(path[2])
        case (let group, 3) where !Self.foldersOfDev.contains(group):
            self = .logicalVolume(group: group, name: path[2])
        default: self = .other
        }
    }

    private static func tagged(_ tag: String, _ value: String) -> Self? {
        switch tag {
        case "UUID": .uuid(value)
        case "LABEL": .label(value)
        case "PARTUUID": .partitionUUID(value)
        case "PARTLABEL": .partitionLabel(value)
        default: nil
        }
    }

    /// udev's links in /dev/disk.
    private static func linked(_ folder: String, _ value: String) -> Self {
        switch folder {
        case "by-uuid": .uuid(value)
        case "by-partuuid": .partitionUUID(value)
        // udev writes odd characters of labels in a way of its own.
        case "by-label" where !value.contains("\\"): .label(value)
        case "by-partlabel" where !value.contains("\\"): .partitionLabel(value)
        default: .other
        }
    }

    /// `group-name`, in which a hyphen of either part is doubled.
    private static func mapped(_ name: String) -> Self {
        let hidden = name.replacing("--", with: "\0")
        let parts = hidden.split(separator: "-", omittingEmptySubsequences: false)
            .map { String($0.replacing("\0", with: "-")) }
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return .other }
        return .logicalVolume(group: parts[0], name: parts[1])
    }

    private static func unquoted(_ text: Substring) -> String {
        for quote: Character in ["\"", "'"] where text.count >= 2 && text.first == quote && text.last == quote {
            return String(text.dropFirst().dropLast())
        }
        return String(text)
    }

    /// Folders of /dev that hold no logical volumes.
    private static let foldersOfDev: Set<String> = [
        "block", "bsg", "cciss", "char", "disk", "dri", "fd", "ida", "input", "loop", "mapper", "md", "net", "nvme",
        "pts",
        "rd", "root", "shm", "snd", "xen", "zvol",
    ]
}
