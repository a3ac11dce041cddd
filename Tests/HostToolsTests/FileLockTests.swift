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
        first.release()
        #expect(!Files.exists(path))
        let second = try #require(try FileLock.take(path))
        second.release()
    }

    @Test func `a file that a killed run left is no lock`() throws {
        let path = try folder.sparseFile("lock", size: 0)
        let lock = try #require(try FileLock.take(path))
        lock.release()
    }
}
