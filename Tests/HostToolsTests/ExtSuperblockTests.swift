import Foundation
import HostTools
import SystemPackage
import Testing

struct ExtSuperblockTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    @Test(arguments: ["ext2", "ext3", "ext4"]) func `a fresh filesystem needs no replay`(type: String) async throws {
        let path = try await make(type)
        #expect(try needsReplay(path) == false)
    }

    @Test(arguments: ["ext3", "ext4"]) func `one whose journal has changes needs it`(type: String) async throws {
        let path = try await make(type)
        try await folder.runner.output(of: Command("debugfs", "-w", "-R", "feature needs_recovery", path))
        #expect(try needsReplay(path) == true)
        try await folder.runner.output(of: Command("debugfs", "-w", "-R", "feature -needs_recovery", path))
        #expect(try needsReplay(path) == false)
    }

    @Test func `other incompatible features are not taken for it`() async throws {
        let path = try await make("ext4")
        try await folder.runner.output(
            of: Command("debugfs", "-w", "-R", "feature filetype extents 64bit flex_bg", path))
        #expect(try needsReplay(path) == false)
    }

    @Test func `what is no ext filesystem needs no replay`() async throws {
        #expect(try needsReplay(folder.sparseFile("empty", size: 1 << 20)) == false)
        #expect(try needsReplay(folder.sparseFile("tiny", size: 100)) == false)
        // Everything set, but no magic.
        let noise = folder.file("noise")
        try Data(repeating: 0xFF, count: 8192).write(to: URL(filePath: noise))
        #expect(try needsReplay(noise) == false)
    }

    @Test func `a device that can't be read is an error`() throws {
        #expect(throws: Errno.isDirectory) { try ExtSuperblock(device: "/") }
        #expect(throws: Errno.noSuchFileOrDirectory) { try ExtSuperblock(device: "/nonexistent") }
    }

    @Test func `counts the inodes in use`() async throws {
        let path = try await make("ext4")
        // Ten reserved ones and lost+found.
        #expect(try ExtSuperblock(device: path)?.usedInodes == 11)
        try await folder.runner.output(of: Command("debugfs", "-w", "-R", "mkdir more", path))
        #expect(try ExtSuperblock(device: path)?.usedInodes == 12)
        // A guest may write any number: more free ones than there are.
        try await folder.runner.output(of: Command("debugfs", "-w", "-R", "ssv free_inodes_count 4000000000", path))
        #expect(try ExtSuperblock(device: path)?.usedInodes == 0)
    }

    /// Each bit, one by one.
    @Test(arguments: [(0x5C, "C"), (0x60, "I"), (0x64, "R")])
    func `what e2fsck refuses are unknown features`(_ offset: Int, _ letter: String) async throws {
        let path = folder.file("features")
        try await folder.runner.output(
            of: Command("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum", path, "4M"))
        let file = try FileDescriptor.open(FilePath(path), .readWrite)
        defer { try? file.close() }
        var old = [UInt8](repeating: 0, count: 4)
        let place = Int64(1024 + offset)
        _ = try old.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: place, into: $0) }
        for bit in 0..<32 {
            var new = old
            new[bit / 8] |= 1 << UInt8(bit % 8)
            _ = try file.writeAll(toAbsoluteOffset: place, new)
            let run = try await folder.runner.run(Command("sh", "-c", "e2fsck -f -n \"$0\" 2>&1", path))
            let unknown = try ExtSuperblock(device: path)?.unknownFeatures ?? []
            #expect(unknown.isEmpty != run.output.contains("unsupported feature"), "bit \(bit): \(unknown) \(run)")
            // It lists them, except for a journal's own, where it says no names.
            let isListed = run.output.contains("feature(s):")
            #expect(!isListed || unknown.allSatisfy { run.output.contains($0) }, "bit \(bit): \(unknown) \(run)")
        }
    }

    private func make(_ type: String) async throws -> String {
        let path = try folder.sparseFile(type, size: 16 << 20)
        try await folder.runner.output(of: Command("mke2fs", "-q", "-F", "-t", type, path))
        return path
    }

    private func needsReplay(_ path: String) throws -> Bool {
        try ExtSuperblock(device: path)?.needsReplay ?? false
    }
}
