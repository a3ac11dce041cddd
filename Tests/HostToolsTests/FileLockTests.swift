import Glibc
import HostTools
import Testing

struct FileLockTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    @Test func `one has it, the other doesn't, until it is released`() throws {
        let path = folder.file("lock")
        let first = try #require(try FileLock.take(path))
        #expect(try FileLock.take(path) == nil)
        #expect(try FileLock.take(path, .shared) == nil)
        first.release()
        #expect(!Files.exists(path))
        let second = try #require(try FileLock.take(path))
        second.release()
    }

    @Test func `a file that a killed run left is no lock`() throws {
        let path = try folder.sparseFile("lock", size: 0)
        #expect(FileLock.holders(of: path) == nil)
        let lock = try #require(try FileLock.take(path))
        lock.release()
    }

    @Test func `many share it, and the last one to go deletes the file`() throws {
        let path = folder.file("lock")
        let first = try #require(try FileLock.take(path, .shared))
        let second = try #require(try FileLock.take(path, .shared))
        #expect(try FileLock.take(path) == nil)
        first.release()
        // Were the file gone, somebody else could have a lock of another file by that name.
        #expect(Files.exists(path))
        #expect(try FileLock.take(path) == nil)
        second.release()
        #expect(!Files.exists(path))
    }

    @Test func `who holds it says so, on one line`() throws {
        let path = folder.file("lock")
        #expect(FileLock.holders(of: path) == nil)
        let lock = try #require(try FileLock.take(path, note: "since\nthen"))
        let holders = try #require(FileLock.holders(of: path))
        #expect(holders.map(\.pid) == [getpid()])
        #expect(holders.map(\.note) == ["since then"])
        lock.release()
        #expect(FileLock.holders(of: path) == nil)
    }

    @Test func `what shares it is in the way of one who wants it alone only`() throws {
        let path = folder.file("lock")
        let lock = try #require(try FileLock.take(path, .shared, note: "a"))
        defer { lock.release() }
        #expect(FileLock.holders(of: path, against: .shared) == nil)
        #expect(FileLock.holders(of: path)?.map(\.note) == ["a"])
    }

    @Test func `one that shared it and has ended is not named`() throws {
        let path = folder.file("lock")
        // No process has this number: it is above the kernel's highest (PID_MAX_LIMIT).
        try folder.write("\(1 << 23) gone\n", to: "lock")
        let lock = try #require(try FileLock.take(path, .shared, note: "here"))
        defer { lock.release() }
        #expect(FileLock.holders(of: path)?.map(\.note) == ["here"])
    }
}
