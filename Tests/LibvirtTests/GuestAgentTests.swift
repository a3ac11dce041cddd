import Foundation
import Glibc
import Testing

@testable import Libvirt

struct GuestAgentTests {
    @Test func `an agent that answers is there`() async throws {
        // The test driver answers for its domains.
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let agent = try await GuestAgent(of: web, on: connection)
        #expect(await agent.answer(within: .seconds(600)) == .answered)
        // With the connection that it has now.
        #expect(await agent.answer(within: .seconds(600)) == .answered)
    }

    @Test func `a domain that is gone is a failure, not a silent agent`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let gone = DomainID(uuid: TestHost.uuid(99), name: "gone")
        guard case .failed(let error) = try await GuestAgent(of: gone, on: connection).answer(within: .seconds(600))
        else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == .noDomain)
    }

    @Test(.timeLimit(.minutes(40))) func `a question that is never answered ends in time, and is asked once`()
        async throws
    {
        // Accepts connections, and says nothing.
        let path = FileManager.default.temporaryDirectory.appending(path: "agent-\(UUID().uuidString.prefix(8))").path
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer {
            close(listener)
            unlink(path)
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafeBytes(of: &address) { address in
            bind(listener, address.bindMemory(to: sockaddr.self).baseAddress, socklen_t(address.count))
        }
        try #require(bound == 0 && listen(listener, 8) == 0)
        let agent = GuestAgent(
            of: DomainID(uuid: TestHost.uuid(1), name: "web"), uri: "qemu+unix:///system?socket=\(path)")
        for _ in 0..<3 {
            guard case .silent = await agent.answer(within: .milliseconds(100)) else {
                Issue.record("it answered")
                return
            }
        }
        let asking = Task { await agent.answer(within: .seconds(600)) }
        asking.cancel()
        guard case .silent = await asking.value else {
            Issue.record("it answered")
            return
        }
        // One connection for four questions; it is made beside them, and may come after them.
        try #require(fcntl(listener, F_SETFL, O_NONBLOCK) == 0)
        var first: Int32 = -1
        #expect(
            try await eventually {
                first = accept(listener, nil, nil)
                return first >= 0
            })
        #expect(accept(listener, nil, nil) == -1)
        // Hanging up ends the attempt.
        close(first)
    }
}
