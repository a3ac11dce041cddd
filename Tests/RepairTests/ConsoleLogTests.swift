import Foundation
import SystemPackage
import Testing

@testable import Repair

struct ConsoleLogTests {
    private static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "console-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test func `of a long log the last whole lines are read`() throws {
        try Self.withFolder { folder in
            let line = String(repeating: "x", count: 99)
            let text = String(repeating: line + "\n", count: 10_000) + "(initramfs) "
            try text.write(toFile: "\(folder)/log", atomically: true, encoding: .utf8)
            let log = try ConsoleLog("\(folder)/log")
            #expect(log.bytes.count <= ConsoleLog.limit && log.bytes.count > ConsoleLog.limit - 101)
            let lines = String(decoding: log.bytes, as: UTF8.self).split(separator: "\n")
            #expect(lines.dropLast().allSatisfy { $0 == line })
            #expect(lines.last == "(initramfs) ")
            #expect(log.modified > 0)
        }
    }

    @Test func `what virtlogd has just moved away is read, too`() throws {
        try Self.withFolder { folder in
            try "[    1.0] one\n".write(toFile: "\(folder)/log.0", atomically: true, encoding: .utf8)
            try "two\n".write(toFile: "\(folder)/log", atomically: true, encoding: .utf8)
            #expect(try ConsoleLog("\(folder)/log").bytes == Array("[    1.0] one\ntwo\n".utf8))
        }
    }

    @Test func `no log is an error that says so`() {
        #expect(throws: Errno.noSuchFileOrDirectory) { try ConsoleLog("/nonexistent/log") }
    }
}
