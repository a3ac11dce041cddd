/// How our overlays are called: `DISK.virt-fsck-RUN-TARGET.qcow2`. The suffix matters: AppArmor's helper of libvirt knows only
/// some.
enum OverlayName {
    private static let mark = ".virt-fsck-"

    /// The overlay's file name for a disk's file, whose own name is cut where both would be too long (NAME_MAX of limits.h).
    static func make(disk path: String, target: String, run: String) -> String {
        var file = path.split(separator: "/").last ?? "disk"
        let rest = "\(mark)\(run)-\(FileName.safe(target)).qcow2"
        while file.utf8.count + rest.utf8.count > 255, !file.isEmpty { file.removeLast() }
        return file + rest
    }

    /// The file name of the disk that an overlay of ours was made for, or its beginning; nil where the path doesn't look like one.
    static func disk(ofOverlay path: String) -> String? {
        guard isOurs(path), let file = path.split(separator: "/").last else { return nil }
        // The disk's own name may have the mark, too.
        let start = file.indices.last { file[$0...].hasPrefix(mark) }
        return start.map { String(file[..<$0]) }
    }

    /// Whether a path looks like an overlay of ours.
    static func isOurs(_ path: String) -> Bool {
        path.hasSuffix(".qcow2") && path.split(separator: "/").last?.contains(mark) ?? false
    }
}
