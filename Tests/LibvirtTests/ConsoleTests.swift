import Foundation
import Testing

@testable import Libvirt

/// What waits for the reader of a console. Real consoles are in the integration tests.
struct ConsoleTests {
    private static func make() -> (Console, ConsoleBuffer) {
        let (signals, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let buffer = ConsoleBuffer(signal: continuation)
        return (Console(buffer, signals: signals), buffer)
    }

    private static func add(_ bytes: [UInt8], to buffer: ConsoleBuffer) {
        bytes.withUnsafeBufferPointer { buffer.add($0) }
    }

    @Test(.timeLimit(.minutes(40))) func `bytes come as they were sent, and then the end`() async {
        let (console, buffer) = Self.make()
        Self.add(Array("one\n".utf8), to: buffer)
        Self.add(Array("two".utf8), to: buffer)
        buffer.end()
        var bytes: [UInt8] = []
        for await chunk in console { bytes += chunk }
        #expect(String(decoding: bytes, as: UTF8.self) == "one\ntwo")
        #expect(console.failure == nil)
    }

    @Test(.timeLimit(.minutes(40))) func `a reader that waits is woken by a byte, and by the end`() async {
        let (console, buffer) = Self.make()
        let (heard, hearing) = AsyncStream<[UInt8]?>.makeStream()
        let reading = Task {
            for await chunk in console { hearing.yield(chunk) }
            hearing.yield(nil)
        }
        var chunks = heard.makeAsyncIterator()
        Self.add([7], to: buffer)
        #expect(await chunks.next() == [7])
        buffer.end()
        #expect(await chunks.next() == .some(nil))
        await reading.value
    }

    @Test func `a reader that is too slow loses the oldest, and no line is made of two`() throws {
        let (console, buffer) = Self.make()
        // 100 MB, as fast as it goes.
        let line = Array((String(repeating: "x", count: 98) + "\n").utf8)
        let flood = Array(repeating: line, count: 10_000).flatMap { $0 }
        for _ in 0..<101 { Self.add(flood, to: buffer) }
        Self.add(Array("the last words\n".utf8), to: buffer)
        var bytes: [UInt8] = []
        while let chunk = buffer.take() {
            #expect(chunk.count <= Console.chunkLimit + 1)
            bytes += chunk
        }
        #expect(bytes.count <= Console.bufferLimit + 1)
        #expect(Int(console.lostBytes) + bytes.count >= 101 * flood.count)
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        #expect(lines.last == "the last words")
        #expect(lines.dropLast().allSatisfy { $0.count == 98 })
        // Where something is missing, a line ends.
        #expect(bytes.first == UInt8(ascii: "\n"))
    }

    @Test func `a flood without line breaks is cut, too`() {
        let (console, buffer) = Self.make()
        for _ in 0..<100 { Self.add([UInt8](repeating: 0x78, count: 1 << 16), to: buffer) }
        var count = 0
        while let chunk = buffer.take() { count += chunk.count }
        #expect(count <= Console.bufferLimit + 1)
        #expect(console.lostBytes >= UInt64(100 << 16) - UInt64(Console.bufferLimit))
    }

    @Test func `single bytes are put together`() {
        let (_, buffer) = Self.make()
        for byte in 0..<1000 { Self.add([UInt8(byte & 0x7F)], to: buffer) }
        #expect(buffer.take()?.count == 1000)
        #expect(buffer.take() == nil)
    }

    @Test func `the first reason for the end counts`() {
        let (console, buffer) = Self.make()
        let broken = LibvirtError(call: "virStreamRecv", code: .rpc, message: "gone")
        buffer.end(broken)
        buffer.end()
        #expect(console.failure == broken)
    }

    @Test func `what is to happen when the connection breaks happens once, or not when it was taken back`() {
        let hub = EventHub()
        let (console, buffer) = Self.make()
        _ = hub.whenClosed { buffer.end(LibvirtError(call: "", code: .rpc, message: "")) }
        let (other, otherBuffer) = Self.make()
        hub.forget(hub.whenClosed { otherBuffer.end(LibvirtError(call: "", code: .rpc, message: "")) })
        hub.close()
        #expect(console.failure?.code == .rpc)
        #expect(other.failure == nil)
        let (late, lateBuffer) = Self.make()
        _ = hub.whenClosed { lateBuffer.end(LibvirtError(call: "", code: .rpc, message: "")) }
        #expect(late.failure?.code == .rpc)
    }

    @Test func `a driver without consoles says so`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let error = await #expect(throws: LibvirtError.self) { try await connection.openConsole(web) }
        #expect(error?.code == .noSupport)
    }

    @Test func `a picture is given whole, or not at all`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let picture = try await connection.screenshot(of: web, limit: 1 << 20)
        #expect(picture.mediaType == "image/png")
        #expect(picture.bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]))
        // The last chunk of every PNG.
        #expect(picture.bytes.suffix(12).starts(with: [0, 0, 0, 0, 0x49, 0x45, 0x4E, 0x44]))
        #expect(try await connection.screenshot(of: web, limit: picture.bytes.count) == picture)
        let error = await #expect(throws: LibvirtError.self) {
            try await connection.screenshot(of: web, limit: picture.bytes.count - 1)
        }
        #expect(error?.code == .tooLarge)
    }
}
