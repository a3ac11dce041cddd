import Libvirt
import Testing

@testable import Repair

struct StartWatchTests {
    @Test func `a start is noticed, though the domain is off again`() async throws {
        let connection = try await TestHost().connect()
        let domain = try await connection.lookUp("web")
        let watch = try await StartWatch(domain, on: connection)
        defer { watch.stop() }
        #expect(watch.objection == nil)
        try await connection.start(domain)
        try await connection.destroy(domain)
        try await Deadline.wait(for: .seconds(180), "no event came") { watch.objection != nil }
        #expect(watch.objection == "was started during the repair")
    }

    @Test func `another domain's start is none of ours`() async throws {
        let other = """
            <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
              <name>other</name><memory>8192</memory><os><type>hvm</type></os><test:runstate>5</test:runstate>
            </domain>
            """
        let connection = try await TestHost().connect(more: other)
        let web = try await connection.lookUp("web")
        let watch = try await StartWatch(web, on: connection)
        let control = try await StartWatch(try await connection.lookUp("other"), on: connection)
        defer {
            watch.stop()
            control.stop()
        }
        try await connection.start(try await connection.lookUp("other"))
        try await Deadline.wait(for: .seconds(180), "no event came") { control.objection != nil }
        #expect(watch.objection == nil)
    }
}
