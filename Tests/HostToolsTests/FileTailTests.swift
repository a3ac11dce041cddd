import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

struct FileTailTests {
    private static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tail-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test func `the end of a file of many terabytes is read at once`() throws {
        try Self.withFolder { folder in
            let path = "\(folder)/log"
            let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
            defer { close(descriptor) }
            try #require(ftruncate(descriptor, 4 << 40) == 0)
            try #require(pwrite(descriptor, "the end", 7, 4 << 40) == 7)
            let start = ContinuousClock.now
            let tail = try FileTail(of: path, limit: 1 << 18)
            #expect(ContinuousClock.now - start < .seconds(60))
            #expect(tail.bytes.count == 1 << 18)
            #expect(tail.bytes.suffix(8) == [0] + Array("the end".utf8))
            #expect(!tail.isWhole)
            #expect(tail.status.size == 4 << 40 + 7)
        }
    }

    @Test func `a small file is read as a whole`() throws {
        try Self.withFolder { folder in
            try "abc".write(toFile: "\(folder)/log", atomically: true, encoding: .utf8)
            let tail = try FileTail(of: "\(folder)/log", limit: 3)
            #expect(tail.bytes == Array("abc".utf8))
            #expect(tail.isWhole)
            try "".write(toFile: "\(folder)/log", atomically: true, encoding: .utf8)
            #expect(try FileTail(of: "\(folder)/log", limit: 3).bytes.isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(40))) func `what is not a file is refused at once`() throws {
        try Self.withFolder { folder in
            try #require(mkfifo("\(folder)/pipe", 0o600) == 0)
            for path in ["\(folder)/pipe", folder, "/dev/zero"] {
                #expect(throws: Errno.invalidArgument) { try FileTail(of: path, limit: 100) }
            }
            #expect(throws: Errno.noSuchFileOrDirectory) { try FileTail(of: "\(folder)/missing", limit: 100) }
        }
    }
}
