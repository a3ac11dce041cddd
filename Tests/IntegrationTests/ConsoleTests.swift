import CLibvirt
import Foundation
import Glibc
import HostTools
import TestSupport
import Testing

@testable import Libvirt

/// The console, the screen and the agent of domains that really run. The firmware is the guest: it prints at once.
@Suite(.enabled(if: TestHost.isUsable), .serialized, .timeLimit(.minutes(40)))
struct ConsoleTests {
    /// A domain without a disk whose firmware talks on the serial port.
    private static func define(_ shop: Workshop, devices: String = "") async throws -> (Connection, DomainID) {
        let xml = """
            <domain type='qemu'><name>\(shop.name)</name><memory unit='MiB'>32</memory>
            <os><type arch='x86_64' machine='pc'>hvm</type><bios useserial='yes'/></os>
            <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
            <serial type='pty'><target port='0'/></serial>
            <console type='pty'><target type='serial' port='0'/></console>\(devices)
            <controller type='usb' model='none'/><memballoon model='none'/></devices></domain>
            """
        let connection = try await Connection.open(PrivateLibvirt.shared.uri)
        return (connection, try await connection.define(xml: xml))
    }

    private static func text(of console: Console, until end: String) async -> String {
        var bytes: [UInt8] = []
        for await chunk in console {
            bytes += chunk
            if String(decoding: bytes, as: UTF8.self).contains(end) { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: 1...3)
    func `a console opened while the domain is paused misses nothing`(_ round: Int) async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(shop)
            try await connection.start(domain, .paused)
            let console = try await connection.openConsole(domain)
            try await connection.resume(domain)
            let text = await Self.text(of: console, until: "No bootable device.")
            // The first thing that the firmware sends, before any of its words.
            #expect(text.hasPrefix("\u{1B}c"), "\(text.debugDescription)")
            #expect(text.contains("SeaBIOS (version "))
            #expect(console.lostBytes == 0)
        }
    }

    @Test func `a console ends with its domain`() async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(shop)
            try await connection.start(domain, .paused)
            let console = try await connection.openConsole(domain)
            let reading = Task { for await _ in console {} }
            try await connection.destroy(domain)
            await reading.value
            #expect(console.failure == nil)
            #expect(await eventually { await connection.consoleCount == 0 })
            let error = await #expect(throws: LibvirtError.self) { try await connection.openConsole(domain) }
            #expect(error?.code == .operationInvalid)
        }
    }

    @Test func `a console that never speaks is left at once`() async throws {
        try await Workshop.with { shop in
            weak var observed: Connection?
            do {
                let (connection, domain) = try await Self.define(shop)
                observed = connection
                try await connection.start(domain, .paused)
                let console = try await connection.openConsole(domain)
                let reading = Task { for await _ in console {} }
                reading.cancel()
                await reading.value
                // Nobody has it any more.
                let other = try await Connection.open(PrivateLibvirt.shared.uri)
                #expect(await eventually { await (try? other.openConsole(domain)) != nil })
            }
            #expect(await eventually { observed == nil })
        }
    }

    @Test func `a console that somebody has is taken only by force`() async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(shop)
            try await connection.start(domain, .paused)
            let first = try await connection.openConsole(domain)
            let other = try await Connection.open(PrivateLibvirt.shared.uri)
            let error = await #expect(throws: LibvirtError.self) { try await other.openConsole(domain) }
            #expect(error?.code == .operationFailed)
            let second = try await other.openConsole(domain, options: .force)
            for await _ in first {}
            try await connection.resume(domain)
            #expect(await Self.text(of: second, until: "No bootable device.").contains("SeaBIOS (version "))
        }
    }

    @Test func `a console ends when the connection breaks`() async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(shop)
            try await connection.start(domain, .paused)
            let before = Self.sockets()
            let lost = try await Connection.open(PrivateLibvirt.shared.uri)
            let console = try await lost.openConsole(domain)
            let ours = Self.sockets().subtracting(before)
            try #require(ours.count == 1)
            for socket in ours { shutdown(socket.descriptor, Int32(SHUT_RDWR)) }
            for await _ in console {}
            #expect(console.failure?.code == .rpc)
            #expect(await eventually { await lost.consoleCount == 0 })
        }
    }

    @Test func `consoles leave nothing behind`() async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(shop)
            try await connection.start(domain, .paused)
            let before = Self.sockets()
            for _ in 0..<50 {
                _ = try await connection.openConsole(domain, options: .force)
            }
            #expect(await eventually { await connection.consoleCount == 0 })
            // One of an earlier test may go meanwhile.
            #expect(await eventually { Self.sockets().isSubset(of: before) })
            #expect(await connection.isAlive())
        }
    }

    /// A socket that is open: the kernel gives the number of its descriptor to the next one, its own to none.
    private struct Socket: Hashable {
        var descriptor: Int32
        var name: String
    }

    /// The sockets of this process that lead to a libvirtd.
    private static func sockets() -> Set<Socket> {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return Set(
            names.compactMap { name in
                guard let descriptor = Int32(name), peer(of: descriptor)?.hasSuffix("/libvirt-sock") == true,
                    let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")
                else { return nil }
                return Socket(descriptor: descriptor, name: link)
            })
    }

    private static func peer(of descriptor: Int32) -> String? {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutableBytes(of: &address) { address in
            getpeername(descriptor, address.bindMemory(to: sockaddr.self).baseAddress, &length)
        }
        guard result == 0, address.sun_family == sa_family_t(AF_UNIX) else { return nil }
        return withUnsafeBytes(of: address.sun_path) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// No emulated serial port is fast enough to be a flood, so a file of a storage pool takes the console's place: the same kind of
    /// stream, as fast as libvirtd can read.
    @Test func `a flood takes no memory, and keeps nobody waiting`() async throws {
        try await Workshop.with { shop in
            let size = 2 << 30
            let file = "\(shop.folder)/pool/flood"
            try FileManager.default.createDirectory(atPath: "\(shop.folder)/pool", withIntermediateDirectories: true)
            try #require(FileManager.default.createFile(atPath: file, contents: nil))
            try #require(truncate(file, size) == 0)
            let pool = "\(shop.name)-pool"
            try await PrivateLibvirt.shared.virsh("pool-create-as", pool, "dir", "--target", "\(shop.folder)/pool")
            // In a process of its own: the memory of this one is every test's that runs now.
            await #expect(processExitsWith: .success) {
                [file = file as String, size = size as Int, uri = PrivateLibvirt.shared.uri as String] in
                try await Self.readFlood(file, size, uri)
            }
            try await PrivateLibvirt.shared.virsh("pool-destroy", pool)
        }
    }

    private static func readFlood(_ file: String, _ size: Int, _ uri: String) async throws {
        let connection = try await Connection.open(uri)
        let memoryBefore = residentMemory()
        let console = try await connection.openFlood(file)
        // Nobody reads, and then somebody reads slowly: between two chunks the connection is asked something.
        let start = ContinuousClock.now
        var read = 0
        var longest = Duration.zero
        var memory = 0
        for await chunk in console {
            read += chunk.count
            let asked = ContinuousClock.now
            _ = try await connection.hostname()
            longest = max(longest, ContinuousClock.now - asked)
            memory = max(memory, residentMemory() - memoryBefore)
        }
        let whole = ContinuousClock.now - start
        let seconds = whole / .seconds(1)
        let total = read + Int(console.lostBytes)
        print("flood: \(Double(total) / seconds / 1e6) MB/s, \(memory >> 20) MiB, longest call \(longest)")
        #expect(console.failure == nil)
        // A line break for each gap.
        #expect(total >= size)
        #expect(memory < 64 << 20)
        // Who has to wait for the flood to end waits for all of it; a machine that does much else makes all of it slower.
        #expect(longest < whole / 2)
    }

    private static func residentMemory() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * Int(getpagesize())
    }

    @Test func `the screen of the firmware is a picture`() async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(
                shop,
                devices: """
                    <graphics type='vnc' autoport='yes' listen='127.0.0.1'/><video><model type='vga'/></video>
                    """)
            try await connection.start(domain)
            let screenshot = try await connection.screenshot(of: domain, limit: 64 << 20)
            #expect(["image/png", "image/x-portable-pixmap"].contains(screenshot.mediaType))
            let png = try PNG.file(of: screenshot.bytes)
            #expect(png.starts(with: [0x89, 0x50, 0x4E, 0x47]))
            let error = await #expect(throws: LibvirtError.self) {
                try await connection.screenshot(of: domain, limit: 10)
            }
            #expect(error?.code == .tooLarge)
            // The connection is usable after the stream that was cut off.
            #expect(try await connection.summary(of: domain).state == .running)
        }
    }

    @Test func `a domain without a screen has no picture`() async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(shop, devices: "<video><model type='none'/></video>")
            try await connection.start(domain, .paused)
            await #expect(throws: LibvirtError.self) { try await connection.screenshot(of: domain, limit: 1 << 20) }
        }
    }

    @Test func `an agent that is configured and not there is silent`() async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(
                shop,
                devices: """
                    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
                    """)
            try await connection.start(domain)
            let answer = try await GuestAgent(of: domain, on: connection).answer(within: .seconds(30))
            guard case .silent(let why) = answer else {
                Issue.record("\(answer)")
                return
            }
            #expect(!why.isEmpty)
        }
    }

    @Test func `a domain without a channel for an agent has none`() async throws {
        try await Workshop.with { shop in
            let (connection, domain) = try await Self.define(shop)
            try await connection.start(domain)
            #expect(try await GuestAgent(of: domain, on: connection).answer(within: .seconds(30)) == .notConfigured)
        }
    }
}

extension Connection {
    fileprivate var consoleCount: Int { consoles.count }

    /// Reads a file of a storage pool as if it were a console.
    fileprivate func openFlood(_ file: String) throws(LibvirtError) -> Console {
        let stream = try StreamHandle(on: pointer, flags: VIR_STREAM_NONBLOCK.rawValue)
        let volume = StorageVolumeHandle(
            owning: try LibvirtError.check("virStorageVolLookupByPath", virStorageVolLookupByPath(pointer, file)))
        _ = try volume.lend { volume throws(LibvirtError) in
            try LibvirtError.check(
                "virStorageVolDownload", virStorageVolDownload(volume, stream.pointer, 0, 0, 0))
        }
        return try console(reading: stream)
    }
}
