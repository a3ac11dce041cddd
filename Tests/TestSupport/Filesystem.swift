public import Foundation

/// A kind of filesystem that the tests make, damage, and repair with the bare checker.
public enum Filesystem: String, CaseIterable, Sendable {
    case ext2
    case ext3
    case ext4
    case vfat
    case xfs

    /// A size that its mkfs takes, in bytes; small.
    public var size: Int { self == .xfs ? 32 << 20 : 8 << 20 }

    /// Whether it is of e2fsck's family.
    public var isExt: Bool { self == .ext2 || self == .ext3 || self == .ext4 }

    /// Makes one in a plain file, with two folders and some files where its mkfs can put them there.
    ///
    /// - Parameters:
    ///   - options: added to mkfs's own.
    ///   - size: in bytes; 0 for ``size``.
    public func make(at path: String, label: String = "data", size: Int = 0, options: [String] = []) async throws {
        let size = size == 0 ? self.size : size
        let tree = try Self.tree()
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        try FileHandle.update(path) { try $0.truncate(atOffset: UInt64(size)) }
        switch self {
        case .ext2, .ext3, .ext4:
            try await Tool.output(
                of: "mke2fs",
                ["-q", "-F", "-t", rawValue, "-b", "1024", "-L", label] + options + [
                    "-d", tree, path, "\(size >> 10)k",
                ])
        case .vfat:
            try await Tool.output(of: "mkfs.vfat", options + ["-n", label.uppercased(), path])
        case .xfs:
            let proto = """
                /
                0 0
                d--755 0 0
                one ---644 0 0 \(tree)/d1/f1
                d1 d--755 0 0
                two ---644 0 0 \(tree)/d1/f2
                $
                $

                """
            let file = path + ".proto"
            try proto.write(toFile: file, atomically: false, encoding: .utf8)
            // mkfs.xfs refuses less than 300 MB to everybody but its own tests.
            try await Tool.output(
                of: "mkfs.xfs", ["-q", "-L", label, "-p", file] + options + [path],
                environment: ["TEST_DIR": "1", "TEST_DEV": "1", "QA_CHECK_FS": "1"])
            try FileManager.default.removeItem(atPath: file)
        }
    }

    /// Damages one so that its superblock goes on saying clean and its checker repairs all of it.
    public func damage(_ path: String) async throws {
        switch self {
        case .ext2, .ext3, .ext4:
            try await Self.debugfs(path, "clri /d1", "clri /d2/g3")
        case .vfat:
            // A used cluster that no file owns, in one of the two tables only.
            try FileHandle.update(path) { file in
                let boot = try file.bytes(at: 0, count: 32)
                let sectorSize = Int(boot[11]) | Int(boot[12]) << 8
                let reserved = Int(boot[14]) | Int(boot[15]) << 8
                try file.write([0xFF, 0xFF], at: sectorSize * reserved + 10)
            }
        case .xfs:
            try await Tool.output(of: "xfs_db", ["-x", "-c", "agf 0", "-c", "write -d freeblks 7", path])
        }
    }

    /// What the bare checker makes of a filesystem, in place.
    ///
    /// - Parameter repaired: the same filesystem as virt-fsck repaired it: e2fsck is told its clock, so that both write the
    ///   same times.
    public func repairBare(_ path: String, clockOf repaired: String) async throws {
        switch self {
        case .ext2, .ext3, .ext4:
            let time = try Self.lastCheck(of: repaired)
            try await Tool.output(
                of: "e2fsck", ["-f", "-y", path], environment: ["E2FSCK_TIME": "\(time)"], allowed: [0, 1])
        case .vfat:
            try await Tool.output(of: "fsck.fat", ["-a", path], allowed: [0, 1])
        case .xfs:
            try await Tool.output(of: "xfs_repair", ["-e", "-f", path], allowed: [0, 4])
        }
    }

    /// Whether the bare checker, reading only, finds nothing.
    public func isSound(_ path: String) async throws -> Bool {
        switch self {
        case .ext2, .ext3, .ext4: try await Tool.run("e2fsck", ["-f", "-n", path]).exitStatus == 0
        case .vfat: try await Tool.run("fsck.fat", ["-n", path]).exitStatus == 0
        case .xfs: try await Tool.run("xfs_repair", ["-n", "-f", path]).exitStatus == 0
        }
    }

    /// Runs requests of debugfs(8), writing.
    public static func debugfs(_ path: String, _ requests: String...) async throws {
        try await Tool.output(
            of: "debugfs", ["-w", "-f", "-", path], input: requests.map { $0 + "\n" }.joined())
    }

    /// `s_lastcheck` of an ext2/3/4 superblock: seconds since 1970.
    public static func lastCheck(of path: String) throws -> UInt32 {
        let bytes = try FileHandle.read(path) { try $0.bytes(at: 1024 + 0x40, count: 4) }
        return bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// A filesystem that e2fsck leaves with errors (exit status 4): all its inodes are used, and what has to go to
    /// lost+found finds none.
    public static func makeBeyondRepair(at path: String) async throws {
        let tree = path + ".tree"
        try FileManager.default.createDirectory(atPath: tree, withIntermediateDirectories: true)
        for number in 1...5 {
            try "\(number)\n".write(toFile: "\(tree)/\(number)", atomically: false, encoding: .utf8)
        }
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        try await Tool.output(
            of: "mke2fs", ["-q", "-F", "-t", "ext2", "-b", "1024", "-N", "16", "-L", "full", "-d", tree, path, "1M"])
        try await debugfs(path, "unlink lost+found", "unlink 1", "unlink 2", "unlink 3")
        try FileManager.default.removeItem(atPath: tree)
    }

    /// The files that go into each filesystem; made once.
    private static func tree() throws -> String {
        let folder = "\(TestHost.folder)/tree-\(UUID().uuidString)"
        let final = "\(TestHost.folder)/tree"
        if FileManager.default.fileExists(atPath: final) { return final }
        for sub in ["d1", "d2", "d3/d4"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(sub)", withIntermediateDirectories: true)
        }
        for number in 1...8 {
            let small = Data((0..<3000).map { UInt8(truncatingIfNeeded: $0 &* number) })
            let large = Data((0..<90_000).map { UInt8(truncatingIfNeeded: $0 / 7 &* number) })
            try small.write(to: URL(filePath: "\(folder)/d1/f\(number)"))
            try large.write(to: URL(filePath: "\(folder)/d2/g\(number)"))
            try small.write(to: URL(filePath: "\(folder)/d3/d4/h\(number)"))
        }
        // What ``damage(_:)`` takes is less than a tenth of all: no heavy loss.
        for number in 1...160 { try Data("\(number)".utf8).write(to: URL(filePath: "\(folder)/d3/d4/k\(number)")) }
        // Whoever comes first wins.
        if rename(folder, final) != 0 { try FileManager.default.removeItem(atPath: folder) }
        return final
    }
}

extension FileHandle {
    /// Opens a file for reading for the time of `body`.
    public static func read<Value>(_ path: String, _ body: (FileHandle) throws -> Value) throws -> Value {
        let file = try FileHandle(forReadingFrom: URL(filePath: path))
        defer { try? file.close() }
        return try body(file)
    }

    /// Opens a file for reading and writing for the time of `body`.
    public static func update<Value>(_ path: String, _ body: (FileHandle) throws -> Value) throws -> Value {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        defer { try? file.close() }
        return try body(file)
    }

    /// Bytes at a place; fewer at the file's end.
    public func bytes(at offset: Int, count: Int) throws -> [UInt8] {
        try seek(toOffset: UInt64(offset))
        return Array(try read(upToCount: count) ?? Data())
    }

    /// Writes bytes at a place.
    public func write(_ bytes: [UInt8], at offset: Int) throws {
        try seek(toOffset: UInt64(offset))
        try write(contentsOf: Data(bytes))
    }
}
