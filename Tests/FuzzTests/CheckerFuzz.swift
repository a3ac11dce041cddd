import Foundation
import SystemPackage
import Testing

@testable import HostTools

extension FuzzTests {
    @Test static func `an exit status claims no more than it may, and a log takes no more than its limit`() async throws
    {
        var logged: [[UInt8]] = []
        try Campaign("Checker", limit: 1 << 11).run { input in
            let code = input.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            for status in [CommandStatus.exited(Int32(bitPattern: code)), .exited(Int32(code & 0xFF))] {
                try expectClaims(of: status)
            }
            for status in [CommandStatus.signaled(Int32(bitPattern: code)), .timedOut, .outputLimitExceeded] {
                for checker in checkers {
                    guard case .gaveUp = checker.claim(of: status, .readWrite) else {
                        throw Violation("\(checker): \(status) is a verdict")
                    }
                }
            }
            let text = String(decoding: input.dropFirst(4), as: UTF8.self)
            for result in [
                CommandResult(status: .exited(1), output: text), CommandResult(status: .exited(1), errorOutput: text),
            ] {
                try require(!result.complaint.isEmpty, "it says nothing")
                try require(!result.complaint.contains("\n"), "it complains in several lines")
            }
            if logged.count < 200 { logged.append(Array(input.dropFirst(4))) }
        }
        for text in logged { try await expectLogged(text) }
    }

    private static let checkers: [Checker] = [.ext, .fat, .xfs(log: .keep), .xfs(log: .discard)]

    private static func expectClaims(of status: CommandStatus) throws {
        for checker in checkers {
            let writing = checker.claim(of: status, .readWrite)
            let looking = checker.claim(of: status, .readOnly)
            for claim in [writing, looking] {
                try require((claim == .nothingWrong) == (status == .exited(0)), "\(checker): \(status) is \(claim)")
            }
            try require(looking != .repaired, "\(checker): \(status) repaired without writing")
        }
    }

    /// Writes a text into a log's pipe.
    private static func expectLogged(_ text: [UInt8]) async throws {
        let limit = 1024
        let path = FileManager.default.temporaryDirectory.path + "/fuzz-log-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let log = try FileDescriptor.open(
            FilePath(path), .readWrite, options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: [.ownerReadWrite])
        defer { try? log.close() }
        let isExceeded = Flag()
        let pipe = try LogPipe(into: log, limit: limit) { isExceeded.raise() }
        _ = try pipe.writer.writeAll(text)
        pipe.closeWriter()
        await pipe.end()
        #expect(FileManager.default.contents(atPath: path).map(Array.init) == Array(text.prefix(limit)))
        #expect(isExceeded.isRaised == (text.count > limit))
    }
}
