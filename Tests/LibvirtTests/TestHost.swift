import Foundation
import Libvirt

/// A hypervisor in this process: libvirt's test driver on a file of its own, so that no two tests share one.
struct TestHost: ~Copyable {
    let folder: URL
    let uri: String

    /// - Parameter domains: the `<domain>` elements, and others of a host.
    init(_ domains: [String] = [TestHost.domain("web")]) throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "libvirt-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appending(path: "host.xml")
        try Data("<node>\(domains.joined())</node>".utf8).write(to: file)
        uri = "test://\(file.path)"
    }

    deinit {
        try? FileManager.default.removeItem(at: folder)
    }

    static func uuid(_ number: Int) -> String {
        let digits = String(number)
        return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
    }

    /// - Parameters:
    ///   - runState: a number of `virDomainState`; nil is running.
    ///   - test: more elements of the test driver's namespace.
    static func domain(
        _ name: String, number: Int = 1, runState: Int? = nil, devices: String = "", test: String = ""
    ) -> String {
        let state = runState.map { "<test:runstate>\($0)</test:runstate>" } ?? ""
        return """
            <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
              <name>\(name)</name><uuid>\(uuid(number))</uuid><memory>8192</memory><os><type>hvm</type></os>
              <devices>\(devices)</devices>\(state)\(test)
            </domain>
            """
    }
}

/// Waits for something to become true. The limit is for what hangs: the machine may do much else.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(180)
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return try await condition()
}
