import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

struct FilesystemStatusTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    @Test func `what is not there has no filesystem`() {
        #expect(throws: Errno.noSuchFileOrDirectory) { try FilesystemStatus(of: folder.file("missing")) }
    }

    @Test func `a sparse file takes less than its size`() throws {
        let path = try folder.sparseFile("file", size: 1 << 20)
        #expect(try FileStatus(of: path).allocated < 1 << 20)
        try Data(repeating: 1, count: 1 << 20).write(to: URL(filePath: path))
        #expect(try FileStatus(of: path).allocated >= 1 << 20)
    }

    @Test func `a filesystem that has room says so, and a folder stays empty`() throws {
        #expect(Files.hasRoom(for: 4096, in: folder.path))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
        // That it is missing is another trouble than being full.
        #expect(Files.hasRoom(for: 4096, in: folder.file("missing")))
    }

    @Test(.enabled(if: isRoot, "needs root")) func `a small filesystem in memory`() async throws {
        let runner = HostCommandRunner()
        let place = folder.file("small")
        try Files.makeFolder(place)
        try await runner.output(of: Command("mount", "-t", "tmpfs", "-o", "size=1M", "none", place))
        defer { umount(place) }
        let empty = try FilesystemStatus(of: place)
        #expect(empty.isVolatile && Files.writeProblem(place) == nil)
        #expect(empty.free == 1 << 20)
        #expect(try empty.device != FilesystemStatus(of: folder.path).device)
        #expect(Files.hasRoom(for: 1 << 19, in: place))
        try Data(repeating: 1, count: 3 << 18).write(to: URL(filePath: "\(place)/file"))
        #expect(try FilesystemStatus(of: place).free == 1 << 18)
        #expect(!Files.hasRoom(for: 1 << 19, in: place))
        try await runner.output(of: Command("mount", "-o", "remount,ro", place))
        #expect(Files.writeProblem(place)?.contains("mounted read-only") == true)
    }
}
