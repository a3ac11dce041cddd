import Foundation

/// A filesystem with a few hundred files, as it was before anything happened to it.
public enum Specimen: String, CaseIterable, Sendable, CustomStringConvertible {
    case ext4
    case ext4SmallBlocks
    case ext4WithJournal
    case ext4WithoutChecksums
    case ext4InlineData
    case ext4Clusters
    case ext3
    case ext3WithJournal
    case ext2
    case xfs
    case xfsManyGroups
    case xfsWholeChunks
    case xfsVersion4
    case fat12
    case fat16
    case fat32

    /// Those that every kernel can mount.
    public static let mountable = allCases.filter { $0 != .xfsVersion4 }

    /// Its name.
    public var description: String { rawValue }

    /// Whose checker repairs it.
    public var filesystem: Filesystem {
        switch self {
        case .ext4, .ext4SmallBlocks, .ext4WithJournal, .ext4WithoutChecksums, .ext4InlineData, .ext4Clusters:
            .ext4
        case .ext3, .ext3WithJournal: .ext3
        case .ext2: .ext2
        case .xfs, .xfsManyGroups, .xfsWholeChunks, .xfsVersion4: .xfs
        case .fat12, .fat16, .fat32: .vfat
        }
    }

    /// Whether its journal holds changes.
    private var isDirty: Bool { self == .ext4WithJournal || self == .ext3WithJournal }

    private var size: Int {
        switch self {
        case .fat12: 8 << 20
        case .fat16: 16 << 20
        case .fat32: 40 << 20
        case .ext4: 32 << 20
        default: 32 << 20
        }
    }

    /// A copy of it, made once for each test process.
    public func make(at path: String) async throws {
        let file = "\(TestHost.folder)/specimen-\(rawValue)"
        if !FileManager.default.fileExists(atPath: file) {
            let part = "\(file)-\(UUID().uuidString)"
            try await build(at: part)
            if rename(part, file) != 0 { try FileManager.default.removeItem(atPath: part) }
        }
        try await Tool.output(of: "cp", ["--sparse=always", file, path])
    }

    private func build(at path: String) async throws {
        let tree = try Self.tree()
        try DiskSet.createSparse(path, size: size)
        let ext = [
            "-q", "-F", "-E", "hash_seed=00000000-0000-4000-8000-000000000001", "-U",
            "00000000-0000-4000-8000-000000000002",
        ]
        switch self {
        case .ext4:
            try await Tool.output(of: "mke2fs", ext + ["-t", "ext4", "-b", "4096", "-g", "4096", "-d", tree, path])
        case .ext4SmallBlocks, .ext4WithJournal:
            try await Tool.output(of: "mke2fs", ext + ["-t", "ext4", "-b", "1024", "-d", tree, path])
        case .ext4WithoutChecksums:
            try await Tool.output(
                of: "mke2fs", ext + ["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg", "-d", tree, path])
        case .ext4InlineData:
            try await Tool.output(
                of: "mke2fs", ext + ["-t", "ext4", "-b", "1024", "-O", "inline_data", "-d", tree, path])
        case .ext4Clusters:
            try await Tool.output(
                of: "mke2fs", ext + ["-t", "ext4", "-b", "1024", "-C", "4096", "-O", "bigalloc", "-d", tree, path])
        case .ext3, .ext3WithJournal:
            try await Tool.output(of: "mke2fs", ext + ["-t", "ext3", "-b", "1024", "-d", tree, path])
        case .ext2: try await Tool.output(of: "mke2fs", ext + ["-t", "ext2", "-b", "1024", "-d", tree, path])
        case .xfs: try await buildXFS(["-m", "uuid=00000000-0000-4000-8000-000000000002"], tree, path)
        case .xfsManyGroups: try await buildXFS(["-d", "agcount=2", "-b", "size=1024"], tree, path)
        case .xfsWholeChunks: try await buildXFS(["-i", "sparse=0"], tree, path)
        case .xfsVersion4: try await buildXFS(["-m", "crc=0", "-d", "agcount=2"], tree, path)
        case .fat12: try await buildFAT(["-F", "12", "-s", "8"], tree, path)
        case .fat16: try await buildFAT(["-F", "16", "-s", "2"], tree, path)
        case .fat32: try await buildFAT(["-F", "32", "-s", "1"], tree, path)
        }
        if isDirty { try await leaveJournal(in: path) }
    }

    private func buildXFS(_ options: [String], _ tree: String, _ path: String) async throws {
        var lines = ["/", "0 0"]
        func describe(_ folder: String) throws {
            for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() {
                let place = "\(folder)/\(name)"
                let type = try FileManager.default.attributesOfItem(atPath: place)[.type] as? FileAttributeType
                switch type {
                case .typeDirectory:
                    lines.append("\(name) d--755 0 0")
                    try describe(place)
                    lines.append("$")
                case .typeSymbolicLink:
                    lines.append(
                        "\(name) l--777 0 0 \(try FileManager.default.destinationOfSymbolicLink(atPath: place))")
                default: lines.append("\(name) ---644 0 0 \(place)")
                }
            }
        }
        lines.append("d--755 0 0")
        try describe(tree)
        lines.append("$")
        let file = "\(path).proto"
        try (lines.joined(separator: "\n") + "\n").write(toFile: file, atomically: false, encoding: .utf8)
        try await Tool.output(
            of: "mkfs.xfs", ["-q", "-p", file] + options + [path],
            environment: ["TEST_DIR": "1", "TEST_DEV": "1", "QA_CHECK_FS": "1"])
        try FileManager.default.removeItem(atPath: file)
    }

    private func buildFAT(_ options: [String], _ tree: String, _ path: String) async throws {
        try await Tool.output(of: "mkfs.vfat", options + ["-i", "12345678", path])
        let names = try FileManager.default.contentsOfDirectory(atPath: tree).sorted().filter { $0 != "links" }
            .map { "\(tree)/\($0)" }
        try await Tool.output(
            of: "mcopy", ["-s", "-i", path] + names + ["::"], environment: ["MTOOLS_SKIP_CHECK": "1"])
    }

    /// What a machine leaves that loses power: the last changes are in the journal only.
    private func leaveJournal(in path: String) async throws {
        let script = """
            set -euo pipefail
            place=$1.mount
            mkdir "$place"
            mount -o loop,commit=300 "$1" "$place"
            trap 'umount "$place"; rmdir "$place"' EXIT
            cd "$place"
            rm -r d2
            mkdir later later/deep
            for i in $(seq 40); do head -c $((i * 500)) /dev/zero | tr '\\0' "$((i % 10))" > later/deep/l$i; done
            for i in $(seq 30); do mv big/n$i later/; done
            mv d3/d4 later/moved
            truncate -s 100 d1/f3
            cd /
            sync
            cp --sparse=always "$1" "$1.cut"
            """
        try await Tool.output(of: "bash", ["-c", script, "bash", path])
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: "\(path).cut", toPath: path)
    }

    /// The files that go into each.
    private static func tree() throws -> String {
        let final = "\(TestHost.folder)/specimen-tree"
        if FileManager.default.fileExists(atPath: final) { return final }
        let folder = "\(final)-\(UUID().uuidString)"
        let files = FileManager.default
        func write(_ count: Int, _ number: Int, _ name: String) throws {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: ($0 / 5 + 1) &* (number + 3)) }
            try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)"))
        }
        for sub in ["d1", "d2", "d3/d4/d5", "big", "empty", "links"] {
            try files.createDirectory(atPath: "\(folder)/\(sub)", withIntermediateDirectories: true)
        }
        for number in 1...20 {
            try write(number * 700, number, "d1/f\(number)")
            try write(number * 3_000, number, "d2/g\(number)")
            try write(number * 40, number, "d3/d4/h\(number)")
            try write(number * 1_500, number, "d3/d4/d5/a-rather-long-name-of-a-file-number-\(number)")
        }
        for number in 1...120 { try write(number % 7 * 300, number, "big/n\(number)") }
        try write(700_000, 1, "large")
        try write(90_000, 2, "kernel")
        for number in 1...6 {
            try files.createSymbolicLink(
                atPath: "\(folder)/links/s\(number)",
                withDestinationPath: number < 4
                    ? "../d1/f\(number)" : "../" + String(repeating: "long/", count: 20) + "\(number)")
        }
        // Whoever comes first wins.
        if rename(folder, final) != 0 { try files.removeItem(atPath: folder) }
        return final
    }
}
