import Foundation
import Glibc
import SystemPackage
import Testing

@testable import HostTools

/// With the qemu-storage-daemon of this machine.
@Suite(.enabled(if: hasFUSEExport, "needs root, FUSE and qemu-storage-daemon"), .serialized, .timeLimit(.minutes(40)))
struct StorageDaemonTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    @Test(arguments: ["raw", "qcow2"])
    func `what is written to the overlay reaches the disk by the merge, and not before`(format: String) async throws {
        let disk = try await makeDisk(format)
        let before = try await content(disk, format)
        let base = try await image(disk, format)
        let untouched = try Data(contentsOf: URL(filePath: disk))
        try await withDaemon { daemon in
            try await daemon.open([base], as: "base")
            try Files.create(folder.file("overlay.qcow2"))
            try await daemon.createOverlay(
                "overlay", path: folder.file("overlay.qcow2"), size: base.virtualSize, over: "base", backing: base)
            try await withFile(of: "overlay", .readWrite, daemon) { path in
                let seen = try read(path, at: 0, count: 5)
                #expect(seen == Array("first".utf8))
                try write(path, at: 4096, Array("changed".utf8))
            }
            #expect(try Data(contentsOf: URL(filePath: disk)) == untouched, "the disk before the merge")
            // The disk's own node still shows the old bytes.
            try await withFile(of: "base", .readOnly, daemon) { path in
                let seen = try read(path, at: 4096, count: 7)
                #expect(seen == [UInt8](repeating: 0, count: 7))
            }
            try await daemon.merge("overlay", into: "base") { _, _ in }
            try await daemon.close("overlay")
            try await daemon.close("overlay-file")
        }
        var expected = before
        expected.replaceSubrange(4096..<4103, with: Array("changed".utf8))
        #expect(try await content(disk, format) == expected)
        // An overlay records what is below it, for whoever finds it after a power cut.
        let info = try await QemuImage(runner: folder.runner).info(path: folder.file("overlay.qcow2"), format: "qcow2")
        #expect(info.backing == ImageInfo.Backing(path: disk, format: format))
    }

    @Test func `a merge goes into the disk, not into the image below it`() async throws {
        let deepest = try await makeDisk("raw")
        let disk = folder.file("middle.qcow2")
        try await folder.runner.output(
            of: Command("qemu-img", "create", "-q", "-f", "qcow2", "-b", deepest, "-F", "raw", disk))
        let untouched = try Data(contentsOf: URL(filePath: deepest))
        let chain = [try await image(disk, "qcow2"), try await image(deepest, "raw")]
        try await withDaemon { daemon in
            try await daemon.open(chain, as: "base")
            try Files.create(folder.file("overlay.qcow2"))
            try await daemon.createOverlay(
                "overlay", path: folder.file("overlay.qcow2"), size: chain[0].virtualSize, over: "base",
                backing: chain[0])
            try await withFile(of: "overlay", .readWrite, daemon) { try write($0, at: 8192, [1, 2, 3]) }
            try await daemon.merge("overlay", into: "base") { _, _ in }
        }
        #expect(try Data(contentsOf: URL(filePath: deepest)) == untouched)
        #expect(try await content(disk, "qcow2")[8192..<8195] == [1, 2, 3])
    }

    @Test func `a slice shows its part and nothing beside it`() async throws {
        let disk = try await makeDisk("raw")
        let base = try await image(disk, "raw")
        try await withDaemon { daemon in
            try await daemon.open([base], as: "base")
            try Files.create(folder.file("overlay.qcow2"))
            try await daemon.createOverlay(
                "overlay", path: folder.file("overlay.qcow2"), size: base.virtualSize, over: "base", backing: base)
            try await daemon.openSlice("slice", of: "overlay", offset: 1 << 20, size: 512 * 3)
            try await withFile(of: "slice", .readWrite, daemon) { path in
                #expect(try FileStatus(of: path).size == 512 * 3)
                try write(path, at: 512, [9, 9])
            }
            try await daemon.close("slice")
            try await withFile(of: "overlay", .readOnly, daemon) { path in
                let seen = try read(path, at: 1 << 20, count: 1024)
                #expect(seen == zeros(512) + [9, 9] + zeros(510))
            }
            // A part of the disk below can be shown as well, though it can't be written to.
            try await daemon.openSlice("lower", of: "base", offset: 0, size: 512)
            try await withFile(of: "lower", .readOnly, daemon) { path in
                let seen = try read(path, at: 0, count: 5)
                #expect(seen == Array("first".utf8))
            }
            try await daemon.close("lower")
        }
    }

    @Test func `the image lock is held while the disk is open, and given back`() async throws {
        let disk = try await makeDisk("qcow2")
        let base = try await image(disk, "qcow2")
        let start = Command("qemu-io", "-f", "qcow2", "-c", "write 0 512", disk)
        try await withDaemon { daemon in
            try await daemon.open([base], as: "base")
            let attempt = try await folder.runner.run(start)
            #expect(!attempt.isSuccess)
            #expect(attempt.errorOutput.contains("lock"))
        }
        #expect(try await folder.runner.run(start).isSuccess)
    }

    @Test func `a node of a disk that isn't there is an error with QEMU's words`() async throws {
        let error = await #expect(throws: QMPError.self) {
            try await withDaemon { daemon in
                try await daemon.open(
                    [sampleImage("/no/such/disk", "raw")], as: "base")
            }
        }
        guard case .refused("blockdev-add", let reason) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("/no/such/disk"))
    }

    @Test func `a daemon that is killed is a clear error, and nobody waits for it`() async throws {
        let disk = try await makeDisk("raw")
        let base = try await image(disk, "raw")
        let start = ContinuousClock.now
        await #expect(throws: QMPError.connectionLost(reason: "it ended unexpectedly")) {
            try await withDaemon { daemon in
                try await daemon.open([base], as: "base")
                kill(daemon.pid, SIGKILL)
                try await daemon.open([base], as: "again")
            }
        }
        // A command that is not answered is given up after a minute.
        #expect(ContinuousClock.now - start < .seconds(50))
    }

    @Test func `a daemon that is killed while an export is awaited ends the wait`() async throws {
        let disk = try await makeDisk("raw")
        let base = try await image(disk, "raw")
        await #expect(throws: QMPError.self) {
            try await withDaemon { daemon in
                try await daemon.open([base], as: "base")
                let mountpoint = folder.file("mount")
                try Files.create(mountpoint)
                try await daemon.exportFUSE("base", id: "e", mountpoint: mountpoint, access: .readOnly)
                kill(daemon.pid, SIGKILL)
                defer { umount2(mountpoint, Int32(MNT_DETACH)) }
                try await daemon.removeExport("e")
            }
        }
    }

    @Test func `what the body throws is thrown, and the daemon has quit`() async throws {
        struct Mine: Error, Equatable { var pid: Int32 }
        let error = await #expect(throws: Mine.self) {
            try await withDaemon { daemon in throw Mine(pid: daemon.pid) }
        }
        let pid = try #require(error).pid
        #expect(!isAlive(pid))
    }

    @Test func `an export that was made and removed can be made again under the same name`() async throws {
        let disk = try await makeDisk("raw")
        let base = try await image(disk, "raw")
        try await withDaemon { daemon in
            try await daemon.open([base], as: "base")
            for _ in 1...10 {
                try await withFile(of: "base", .readOnly, daemon, id: "same") { path in
                    // Keeps the export busy for as long as the kernel takes to close it.
                    let seen = try read(path, at: 0, count: 5)
                    #expect(seen == Array("first".utf8))
                }
            }
        }
    }

    @Test func `a daemon that is missing names its package`() async throws {
        let log = try folder.log()
        defer { try? log.close() }
        await #expect(throws: CommandError.notFound(program: "qemu-storage-daemon", package: "qemu-system-common")) {
            try await StorageDaemon.run(by: HostCommandRunner(folders: ["/nowhere"]), log: log) { _ in }
        }
    }

    /// The corruption that ``FUSEConnection/serialize(_:mountingAt:)`` prevents: QEMU before 10 leaves one write's data in
    /// the place of another when both are under way.
    @Test func `many large writes at once through a loop device are read back right`() async throws {
        let size = 64 << 20
        let disk = try folder.sparseFile("large.raw", size: Int64(size))
        let base = try await image(disk, "raw")
        try await withDaemon { daemon in
            try await daemon.open([base], as: "base")
            try Files.create(folder.file("overlay.qcow2"))
            try await daemon.createOverlay(
                "overlay", path: folder.file("overlay.qcow2"), size: UInt64(size), over: "base", backing: base)
            try await withFile(of: "overlay", .readWrite, daemon) { path in
                try Files.makeFolder(folder.file("fusectl"))
                try FUSEConnection.serialize(path, mountingAt: folder.file("fusectl"))
                // Nothing stays mounted there.
                try Files.removeFolder(folder.file("fusectl"))
                let file = try FileDescriptor.open(FilePath(path), .readWrite)
                let loop = try LoopDevice.attach(file)
                try file.close()
                defer { try? loop.detach() }
                #expect(loop.usesDirectIO)
                let block = 1 << 20
                try await withThrowingTaskGroup { group in
                    for writer in 0..<4 {
                        group.addTask {
                            for index in stride(from: writer, to: size / block, by: 4) {
                                try writeDirect(loop.path, at: index * block, count: block, UInt8(1 + index % 250))
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                try loop.sync()
                try loop.flushBuffers()
                let wrong = try (0..<(size / block)).filter { index in
                    try read(loop.path, at: index * block, count: block)
                        != [UInt8](repeating: UInt8(1 + index % 250), count: block)
                }
                #expect(wrong == [])
            }
        }
    }

    @Test func `a file that is no FUSE mount can't be serialized`() throws {
        try Files.makeFolder(folder.file("fusectl"))
        let path = try folder.sparseFile("plain", size: 0)
        #expect(throws: DeviceError.self) {
            try FUSEConnection.serialize(path, mountingAt: folder.file("fusectl"))
        }
        try Files.removeFolder(folder.file("fusectl"))
    }

    private func withDaemon(_ body: (StorageDaemon) async throws -> Void) async throws {
        let log = try folder.log()
        defer { try? log.close() }
        try await StorageDaemon.run(by: folder.runner, log: log, body)
    }

    private func withFile(
        of node: String, _ access: DeviceAccess, _ daemon: StorageDaemon, id: String = "export",
        _ body: (String) async throws -> Void
    ) async throws {
        let path = folder.file("mount-\(UUID().uuidString)")
        try Files.create(path)
        try await daemon.exportFUSE(node, id: id, mountpoint: path, access: access)
        do {
            try await body(path)
        } catch {
            try? await daemon.removeExport(id)
            throw error
        }
        try await daemon.removeExport(id)
        // Fails while something is mounted on it: the export is really gone.
        try Files.remove(path)
    }

    private func makeDisk(_ format: String) async throws -> String {
        let raw = try folder.sparseFile("disk.raw", size: 4 << 20)
        try write(raw, at: 0, Array("first".utf8))
        guard format != "raw" else { return raw }
        try await folder.runner.output(
            of: Command("qemu-img", "convert", "-f", "raw", "-O", format, raw, folder.file("disk.\(format)")))
        return folder.file("disk.\(format)")
    }

    private func image(_ path: String, _ format: String) async throws -> ImageInfo {
        try await QemuImage(runner: folder.runner).info(path: path, format: format)
    }

    /// What a guest would see.
    private func content(_ path: String, _ format: String) async throws -> [UInt8] {
        let copy = folder.file("copy-\(UUID().uuidString)")
        try await folder.runner.output(of: Command("qemu-img", "convert", "-f", format, "-O", "raw", path, copy))
        return Array(try Data(contentsOf: URL(filePath: copy)))
    }
}

private func sampleImage(_ path: String, _ format: String) -> ImageInfo {
    ImageInfo(
        path: path, format: format, virtualSize: 1 << 20, actualSize: 0, backing: nil, isEncrypted: false,
        isMarkedCorrupt: false, snapshots: [], bitmaps: [], dataFile: nil)
}

private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

private func read(_ path: String, at offset: Int, count: Int) throws -> [UInt8] {
    let file = try FileDescriptor.open(FilePath(path), .readOnly)
    defer { try? file.close() }
    var bytes = zeros(count)
    var filled = 0
    while filled < count {
        let got = try bytes.withUnsafeMutableBytes {
            try file.read(
                fromAbsoluteOffset: Int64(offset + filled), into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...])
            )
        }
        guard got > 0 else { break }
        filled += got
    }
    return Array(bytes[..<filled])
}

private func write(_ path: String, at offset: Int, _ bytes: [UInt8]) throws {
    let file = try FileDescriptor.open(FilePath(path), .writeOnly)
    defer { try? file.close() }
    try file.writeAll(toAbsoluteOffset: Int64(offset), bytes)
    try Files.sync(file)
}

/// One write with O_DIRECT: it goes to the device as it is, in as many requests as the kernel makes of it.
private func writeDirect(_ path: String, at offset: Int, count: Int, _ byte: UInt8) throws {
    #if arch(arm64)
        let direct: Int32 = 0o200000
    #else
        let direct: Int32 = 0o40000
    #endif
    let descriptor = open(path, O_WRONLY | direct | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    defer { close(descriptor) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    defer { buffer.deallocate() }
    buffer.initializeMemory(as: UInt8.self, repeating: byte)
    guard pwrite(descriptor, buffer.baseAddress, count, off_t(offset)) == count else {
        throw Errno(rawValue: errno)
    }
}
