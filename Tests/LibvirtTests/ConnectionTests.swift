import Foundation
import Libvirt
import Testing

struct ConnectionTests {
    @Test func `a connection knows where it leads`() async throws {
        let connection = try await Connection.open("test:///default")
        #expect(try await connection.uri() == "test:///default")
        #expect(try await !connection.hostname().isEmpty)
        #expect(try await connection.libraryVersion() >= LibraryVersion(major: 7, minor: 0, release: 0))
        #expect(await connection.isAlive())
    }

    @Test func `versions compare by their numbers`() {
        let version = LibraryVersion(major: 10, minor: 0, release: 1)
        #expect(version > LibraryVersion(major: 9, minor: 10, release: 0))
        #expect(version.description == "10.0.1")
    }

    @Test func `a socket that does not exist is a system error that names it`() async throws {
        let error = await #expect(throws: LibvirtError.self) {
            try await Connection.open("qemu+unix:///system?socket=/nonexistent")
        }
        #expect(error?.code == .systemError)
        #expect(error?.call == "virConnectOpen")
        #expect(error?.description.hasPrefix("virConnectOpen: ") == true)
        #expect(error?.message.contains("/nonexistent") == true)
    }

    @Test func `a transport that does not exist is an error`() async throws {
        let error = await #expect(throws: LibvirtError.self) { try await Connection.open("qemu+pigeon:///system") }
        #expect(error?.code == .invalidArgument)
    }

    @Test func `a read-only connection refuses changes`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri, access: .readOnly)
        let web = try await connection.lookUp("web")
        let error = await #expect(throws: LibvirtError.self) { try await connection.destroy(web) }
        #expect(error?.code == .operationDenied)
        #expect(try await connection.summary(of: web).state == .running)
    }

    @Test func `a connection opens within its timeout`() async throws {
        let connection = try await Connection.open("test:///default", timeout: .seconds(60))
        #expect(try await connection.uri() == "test:///default")
        let error = await #expect(throws: LibvirtError.self) {
            try await Connection.open("qemu+unix:///system?socket=/nonexistent", timeout: .seconds(60))
        }
        #expect(error?.code == .systemError)
    }

    @Test func `a daemon that hangs up does not end the program`() async throws {
        _ = try await Connection.open("test:///default")
        // What libvirt does to its socket: a write that nobody reads.
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        #expect(write(pipe.fileHandleForWriting.fileDescriptor, "x", 1) == -1)
        #expect(errno == EPIPE)
    }

    @Test(.timeLimit(.minutes(40))) func `a daemon that never answers times out`() async throws {
        let daemon = try SilentDaemon()
        let start = ContinuousClock.now
        let error = await #expect(throws: LibvirtError.self) {
            try await Connection.open(daemon.uri, timeout: .milliseconds(300))
        }
        #expect(error?.code == .timedOut)
        #expect(error?.message == "\(daemon.uri): no answer within 0.3 seconds")
        #expect(ContinuousClock.now - start >= .milliseconds(300))
    }

    @Test(.timeLimit(.minutes(40))) func `a task that is cancelled stops waiting for the daemon`() async throws {
        let daemon = try SilentDaemon()
        let uri = daemon.uri
        let opening = Task { try await Connection.open(uri, timeout: .seconds(600)) }
        opening.cancel()
        let error = await #expect(throws: LibvirtError.self) { try await opening.value }
        #expect(error?.code == .cancelled)
    }

    @Test(.timeLimit(.minutes(40))) func `daemons that do not answer do not hold other connections up`() async throws {
        let daemon = try SilentDaemon()
        let uri = daemon.uri
        // More than the cooperative pool has threads.
        let stuck = (0..<32).map { _ in Task { try await Connection.open(uri, timeout: .seconds(600)) } }
        let connection = try await Connection.open("test:///default")
        #expect(try await !connection.listDomains().isEmpty)
        for task in stuck { task.cancel() }
    }
}

/// Listens on a Unix socket and never says a word.
private final class SilentDaemon {
    let uri: String
    private let path: String
    private let socket: Int32

    init() throws {
        path = "/tmp/silent-\(UUID().uuidString.prefix(13))"
        uri = "qemu+unix:///system?socket=\(path)"
        socket = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        // The kernel accepts for us.
        try #require(listen(socket, 64) == 0)
    }

    deinit {
        // Hangs up: what was left behind ends.
        close(socket)
        unlink(path)
    }
}
