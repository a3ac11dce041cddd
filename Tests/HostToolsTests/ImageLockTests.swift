import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

/// Against QEMU itself: whether it respects these locks is all that matters.
@Suite(.enabled(if: HostCommandRunner().path(of: "qemu-io") != nil))
struct ImageLockTests {
    private let folder: ScratchFolder
    private let image: String

    init() throws {
        folder = try ScratchFolder()
        image = try folder.sparseFile("disk.raw", size: 1 << 20)
    }

    private func write() async throws -> CommandResult {
        try await HostCommandRunner().run(Command("qemu-io", "-f", "raw", "-c", "write 0 512", image))
    }

    @Test func `QEMU can't write to a locked image, and can afterwards`() async throws {
        #expect(ImageLock.isPossible(on: image))
        let lock = try ImageLock(image)
        let refused = try await write()
        #expect(!refused.isSuccess)
        #expect(refused.errorOutput.contains("lock"))
        lock.release()
        #expect(try await write().isSuccess)
    }

    @Test func `an image that was let go is free, though a program that is being started has a copy of the descriptor`()
        async throws
    {
        let lock = try ImageLock(image)
        let copies = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { Int32($0) }
            .filter {
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == image
            }.map { dup($0) }
        defer { for copy in copies { close(copy) } }
        #expect(!copies.isEmpty)
        lock.release()
        #expect(try await write().isSuccess)
    }

    @Test func `QEMU reads a locked image, and several lock it`() async throws {
        let locks = try [ImageLock(image), ImageLock(image)]
        let read = try await HostCommandRunner().run(Command("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", image))
        #expect(read.isSuccess, "\(read)")
        for lock in locks { lock.release() }
    }

    @Test func `an image that QEMU writes to can't be locked`() async throws {
        let pidFile = folder.file("pid")
        let socket = folder.file("socket")
        // Returns when it listens.
        let server = try await HostCommandRunner().run(
            Command(
                "qemu-nbd", "--fork", "--persistent", "--format", "raw", "--socket", socket, "--pid-file", pidFile,
                image))
        #expect(server.isSuccess, "\(server)")
        let pid = try #require(readPID(pidFile))
        #expect(throws: ImageLock.Failure.isWritten) { try ImageLock(image) }
        kill(pid, SIGTERM)
        #expect(try await eventually { !isAlive(pid) })
        let lock = try ImageLock(image)
        lock.release()
    }

    @Test func `what is not there can't be locked`() {
        #expect(throws: ImageLock.Failure.unavailable(.noSuchFileOrDirectory)) { try ImageLock(folder.file("missing")) }
        #expect(!ImageLock.isPossible(on: folder.file("missing")))
    }
}
