import Foundation

/// What the kernel, or mtools for a FAT, sees in a filesystem: each path with its type and a sum of its content.
public struct MountedTree: Sendable {
    /// By path.
    public var entries: [String: String]

    /// Reads a filesystem in a plain file; nil where it can't be read.
    public init?(of path: String, _ filesystem: Filesystem) async throws {
        let place = "\(path).tree"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        let list = """
            cd "$2"
            # What claims more than the tests give a file has another content in any case.
            find . -mindepth 1 -type f -size +64M -printf 'F %s  %p\n'
            find . -mindepth 1 -type f ! -size +64M -print0 | xargs -0 -r md5sum --zero | tr '\\n\\0' '\\1\\n' | sed 's/^/f /'
            find . -mindepth 1 -type l -printf 'l %l  %p\\n'
            find . -mindepth 1 ! -type f ! -type l -printf '%y -  %p\\n'
            """
        let script: String
        switch filesystem {
        case .ext2, .ext3, .ext4:
            script = "mount -t ext4 -o ro,loop,noload \"$1\" \"$2\"; trap 'cd /; umount \"$2\"' EXIT\n" + list
        case .xfs:
            script = "mount -t xfs -o ro,loop,norecovery,nouuid \"$1\" \"$2\"; trap 'cd /; umount \"$2\"' EXIT\n" + list
        case .vfat:
            script =
                "export MTOOLS_SKIP_CHECK=1; mcopy -n -s -i \"$1\" '::*' \"$2\" </dev/null || { list=$(mdir -b -i \"$1\" ::) || exit; [ -z \"$list\" ] || exit; }\n"
                + list
        }
        let result = try await Tool.run("bash", ["-c", "set -e\n" + script, "bash", path, place])
        guard result.exitStatus == 0 else { return nil }
        entries = [:]
        for line in result.output.split(separator: "\n") {
            guard let gap = line.firstRange(of: "  ./") else { continue }
            entries[String(line[gap.upperBound...])] = String(line[..<gap.lowerBound])
        }
        entries["lost+found"] = nil
    }

    /// How many of these paths have lost their place, or their content, in another tree.
    public func lost(in other: MountedTree) -> [String] {
        entries.filter { other.entries[$0.key] != $0.value }.map(\.key).sorted()
    }

    /// The same, without what no checker can see: a name or a content that the damage turned into another one that is as good. Both are
    /// in the damaged filesystem as they are in the repaired one.
    public func lost(in repaired: MountedTree, seenIn damaged: MountedTree) -> [String] {
        let changed = repaired.entries.filter { entries[$0.key] != $0.value && damaged.entries[$0.key] == $0.value }
        let contents = Set(changed.values)
        return lost(in: repaired).filter { path in
            changed[path] == nil
                && !(repaired.entries[path] == nil && entries[path].map { contents.contains($0) } ?? false)
        }
    }
}
