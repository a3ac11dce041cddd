import Foundation
import Testing

@testable import HostTools

struct QemuImageTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    private var image: QemuImage { QemuImage(runner: folder.runner) }

    @Test func `a raw file has its size and nothing else`() async throws {
        let path = try folder.sparseFile("a:b,c.raw", size: 3 << 20)
        let info = try await image.info(path: path, format: "raw")
        #expect(info.path == path)
        #expect(info.format == "raw")
        #expect(info.virtualSize == 3 << 20)
        #expect(info.backing == nil && info.dataFile == nil && !info.isEncrypted && !info.isMarkedCorrupt)
        #expect(try await image.check(path: path, format: "raw") == .notChecked)
    }

    @Test func `an overlay names what is below, relative names resolved`() async throws {
        let base = try folder.sparseFile("base.raw", size: 1 << 20)
        let top = folder.file("top.qcow2")
        try await folder.runner.output(
            of: Command("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", top))
        let info = try await image.info(path: top, format: "qcow2")
        #expect(info.format == "qcow2")
        #expect(info.virtualSize == 1 << 20)
        #expect(info.backing == ImageInfo.Backing(path: base, format: "raw"))
        #expect(try await image.check(path: top, format: "qcow2") == .clean)
    }

    @Test func `snapshots, bitmaps, a data file and encryption are seen`() async throws {
        let path = folder.file("full.qcow2")
        try await folder.runner.output(of: Command("qemu-img", "create", "-q", "-f", "qcow2", path, "1M"))
        try await folder.runner.output(of: Command("qemu-img", "snapshot", "-c", "before", path))
        try await folder.runner.output(of: Command("qemu-img", "bitmap", "--add", path, "backup"))
        let info = try await image.info(path: path, format: "qcow2")
        #expect(info.snapshots == ["before"])
        #expect(info.bitmaps == ["backup"])

        let apart = folder.file("apart.qcow2")
        try await folder.runner.output(
            of: Command(
                "qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=\(folder.file("data"))", apart, "1M"))
        #expect(try await image.info(path: apart, format: "qcow2").dataFile == folder.file("data"))

        let locked = folder.file("locked.qcow2")
        // It measures the processor first, and gives up where others have it ("Unable to get accurate CPU usage").
        let create = """
            for round in 1 2 3 4 5 6 7 8 9; do
              qemu-img create -q -f qcow2 --object secret,id=s,data=x \\
                -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 "$0" 1M && exit
            done; exit 1
            """
        try await folder.runner.output(of: Command("sh", "-c", create, locked))
        #expect(try await image.info(path: locked, format: "qcow2").isEncrypted)
    }

    @Test func `leaks and corruption are told apart`() async throws {
        let leaking = try await qcow2("leaking.qcow2")
        // The reference count of a cluster that nobody uses; one block of counts follows the table (cluster 2).
        try overwrite(leaking, at: 2 * 65536 + 2 * 40, [0, 1])
        try extend(leaking, to: 41 * 65536)
        #expect(try await image.check(path: leaking, format: "qcow2") == .leaks)

        let corrupt = try await qcow2("corrupt.qcow2")
        // The header's own cluster counted as free.
        try overwrite(corrupt, at: 2 * 65536, [0, 0])
        #expect(try await image.check(path: corrupt, format: "qcow2") == .corrupt)

        let marked = try await qcow2("marked.qcow2")
        // Incompatible features, bit 1: corrupt.
        try overwrite(marked, at: 79, [2])
        #expect(try await image.info(path: marked, format: "qcow2").isMarkedCorrupt)
    }

    @Test func `another format than the given one is an error with QEMU's words`() async throws {
        let path = try folder.sparseFile("disk.raw", size: 1 << 20)
        let error = await #expect(throws: CommandError.self) {
            try await image.info(path: path, format: "qcow2")
        }
        guard case .failed(_, let status, let complaint) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(status == .exited(1))
        #expect(complaint.contains("not in qcow2 format"))
    }

    @Test func `a missing image is an error that names it`() async throws {
        let error = await #expect(throws: CommandError.self) {
            try await image.info(path: "/no/such/disk.qcow2", format: "qcow2")
        }
        #expect(error?.description.contains("/no/such/disk.qcow2") == true)
        await #expect(throws: CommandError.self) { try await image.check(path: "/no/such/disk", format: "qcow2") }
    }

    @Test(arguments: [
        "{}", "[]", #"{"format": "raw"}"#, #"{"virtual-size": 1}"#, #"{"format": "raw", "virtual-size": -1}"#,
        #"{"format": 1, "virtual-size": 1}"#,
    ]) func `an answer without the essentials is none`(text: String) throws {
        #expect(ImageInfo(path: "/a", json: try JSONValue(parsing: text)) == nil)
    }

    @Test func `the full name of a backing file comes before the one in the header`() throws {
        let json = try JSONValue(
            parsing:
                #"{"format": "qcow2", "virtual-size": 1, "backing-filename": "b", "full-backing-filename": "/a/b"}"#)
        #expect(ImageInfo(path: "/a/t", json: json)?.backing == ImageInfo.Backing(path: "/a/b", format: nil))
    }

    @Test func `an unexpected answer is an error that shows it`() async throws {
        try folder.program("qemu-img", "echo surprise")
        let error = await #expect(throws: CommandError.self) { try await image.info(path: "/a", format: "raw") }
        guard case .broken(_, let reason) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("surprise"))
    }

    private func qcow2(_ name: String) async throws -> String {
        let path = folder.file(name)
        try await folder.runner.output(of: Command("qemu-img", "create", "-q", "-f", "qcow2", path, "1M"))
        return path
    }

    private func overwrite(_ path: String, at offset: UInt64, _ bytes: [UInt8]) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        defer { try? file.close() }
        try file.seek(toOffset: offset)
        try file.write(contentsOf: bytes)
    }

    private func extend(_ path: String, to size: UInt64) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        defer { try? file.close() }
        try file.truncate(atOffset: size)
    }
}
