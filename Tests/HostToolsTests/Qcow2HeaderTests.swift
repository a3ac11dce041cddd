import Foundation
import Testing

@testable import HostTools

struct Qcow2HeaderTests {
    private let folder = FileManager.default.temporaryDirectory.path + "/qcow2-\(UUID().uuidString)"

    private func make(_ arguments: String...) async throws -> Qcow2Header? {
        try Files.makeFolder(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let runner = HostCommandRunner()
        try await runner.output(of: Command("qemu-img", "create", "-q", "-f", "raw", "\(folder)/base", "1M"))
        let path = "\(folder)/image"
        try await runner.output(of: Command("qemu-img", ["create", "-q", "-f", "qcow2"] + arguments + [path, "1M"]))
        return Qcow2Header(of: path)
    }

    @Test(arguments: ["0.10", "1.1"])
    func `an image alone has nothing below it`(version: String) async throws {
        let header = try #require(try await make("-o", "compat=\(version)"))
        #expect(header.backing == nil)
    }

    @Test(arguments: [("512", 512), ("64k", 65536), ("2M", 2 << 20)])
    func `the size of its clusters is read`(size: String, bytes: UInt64) async throws {
        #expect(try await make("-o", "cluster_size=\(size)")?.clusterSize == bytes)
    }

    @Test(arguments: ["0.10", "1.1"])
    func `an overlay names what is below it, and its format`(version: String) async throws {
        let header = try #require(
            try await make("-o", "compat=\(version)", "-b", "\(folder)/base", "-F", "raw"))
        #expect(header.backing == "\(folder)/base")
        #expect(header.backingFormat == "raw")
    }

    @Test func `what is no qcow2 image, or a torn one, says nothing`() async throws {
        #expect(Qcow2Header([]) == nil)
        #expect(Qcow2Header([UInt8](repeating: 0xFF, count: 4096)) == nil)
        #expect(Qcow2Header([0x51, 0x46, 0x49, 0xFB]) == nil)
        var huge: [UInt8] = [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3]
        huge += [UInt8](repeating: 0xFF, count: 120)
        #expect(Qcow2Header(huge) == nil)
        huge[8...15] = [0, 0, 0, 0, 0, 0, 0, 0x60]
        huge[16...19] = [0, 0, 0, 4]
        huge[100...103] = [0xFF, 0xFF, 0xFF, 0xFF]
        #expect(Qcow2Header(huge)?.backingFormat == nil)
    }
}
