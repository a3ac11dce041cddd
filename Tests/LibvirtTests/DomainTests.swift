import Libvirt
import Testing

struct DomainTests {
    @Test func `a domain is found by name, by UUID and by number`() async throws {
        let host = try TestHost([TestHost.domain("web"), TestHost.domain("mail", number: 2)])
        let connection = try await Connection.open(host.uri)
        let mail = try await connection.lookUp("mail")
        #expect(mail.uuid == TestHost.uuid(2))
        #expect(mail.name == "mail")
        #expect(try await connection.lookUp(TestHost.uuid(2)) == mail)
        let number = try #require(try await connection.summary(of: mail).numericID)
        #expect(try await connection.lookUp(String(number)) == mail)
    }

    @Test func `a number is a number before it is a name`() async throws {
        let host = try TestHost([TestHost.domain("2"), TestHost.domain("mail", number: 2)])
        let connection = try await Connection.open(host.uri)
        #expect(try await connection.lookUp("2").name == "mail")
        #expect(try await connection.lookUp("1").name == "2")
    }

    @Test func `a number that no domain has is a name`() async throws {
        let host = try TestHost([TestHost.domain("404")])
        let connection = try await Connection.open(host.uri)
        #expect(try await connection.lookUp("404").name == "404")
    }

    @Test(arguments: [
        "nobody", "99", "-1", "", "99999999999", "00000000-0000-4000-8000-000000000099",
        "a name with the length of a UUID    ",
    ]) func `a domain that does not exist is an error that names it`(selector: String) async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let error = await #expect(throws: LibvirtError.self) { try await connection.lookUp(selector) }
        #expect(error?.code == .noDomain)
        #expect(error?.message == "no domain with matching name, UUID or id '\(selector)'")
    }

    @Test func `a name that is as long as a UUID is found`() async throws {
        let name = "a-name-with-the-length-of-a-UUID----"
        let host = try TestHost([TestHost.domain(name)])
        #expect(try await Connection.open(host.uri).lookUp(name).name == name)
    }

    @Test func `two IDs are equal when their UUIDs are`() {
        let id = DomainID(uuid: TestHost.uuid(1), name: "old name")
        #expect(id == DomainID(uuid: TestHost.uuid(1), name: "new name"))
        #expect(id != DomainID(uuid: TestHost.uuid(2), name: "old name"))
        #expect(Set([id, DomainID(uuid: TestHost.uuid(1), name: "new name")]).count == 1)
    }

    @Test func `a call for a domain that is gone says so`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let gone = DomainID(uuid: TestHost.uuid(99), name: "gone")
        let error = await #expect(throws: LibvirtError.self) { try await connection.summary(of: gone) }
        #expect(error?.code == .noDomain)
        #expect(error?.call == "virDomainLookupByUUIDString")
        #expect(error?.message.isEmpty == false)
        #expect(error?.domain != 0)
    }

    @Test func `a thousand domains are listed with their states`() async throws {
        let host = try TestHost(
            (1...1000).map { TestHost.domain("vm\($0)", number: $0, runState: $0.isMultiple(of: 2) ? 5 : 1) })
        let connection = try await Connection.open(host.uri)
        let domains = try await connection.listDomains()
        #expect(Set(domains.map(\.uuid)) == Set((1...1000).map(TestHost.uuid)))
        #expect(Set(domains.map(\.name)) == Set((1...1000).map { "vm\($0)" }))

        let summaries = try await connection.summaries()
        #expect(summaries.count == 1000)
        #expect(summaries.count { $0.state == .shutoff && !$0.isActive && $0.numericID == nil } == 500)
        #expect(summaries.count { $0.state == .running && $0.isActive && $0.numericID != nil } == 500)
    }

    @Test func `a host without domains has an empty list`() async throws {
        let host = try TestHost([])
        let connection = try await Connection.open(host.uri)
        #expect(try await connection.listDomains() == [])
        #expect(try await connection.summaries() == [])
    }

    @Test(arguments: [
        (1, DomainState.running), (3, .paused), (4, .shutdown), (5, .shutoff), (6, .crashed),
    ]) func `a state is the one that libvirt has`(number: Int, state: DomainState) async throws {
        let host = try TestHost([TestHost.domain("web", runState: number)])
        let connection = try await Connection.open(host.uri)
        #expect(try await connection.summary(of: connection.lookUp("web")).state == state)
    }

    @Test func `the summary of a running domain`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let expected = DomainSummary(
            id: web, numericID: 1, state: .running, reason: .unknown, isPersistent: true, isActive: true,
            autostart: false, hasManagedSave: false, snapshotCount: 0, checkpointCount: 0)
        let summary = try await connection.summary(of: web)
        #expect(summary == expected)
        #expect(try await connection.summaries() == [expected])
    }

    @Test func `a domain is made sure to be off, whether or not it is`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        try #expect(await connection.summary(of: web).isActive)
        for _ in 0..<2 {
            try await connection.ensureOff(web)
            try #expect(await !connection.summary(of: web).isActive)
        }
        let gone = DomainID(uuid: TestHost.uuid(99), name: "gone")
        let error = await #expect(throws: LibvirtError.self) { try await connection.ensureOff(gone) }
        #expect(error?.code == .noDomain)
    }

    @Test func `a domain is defined, started, suspended, resumed and destroyed`() async throws {
        let host = try TestHost([])
        let connection = try await Connection.open(host.uri)
        let web = try await connection.define(xml: TestHost.domain("web", number: 7))
        #expect(web.uuid == TestHost.uuid(7))
        #expect(try await connection.listDomains() == [web])
        #expect(try await connection.summary(of: web).state == .shutoff)

        func expect(_ state: DomainState, _ reason: StateReason) async throws {
            let summary = try await connection.summary(of: web)
            #expect(summary.state == state)
            #expect(summary.reason == reason)
        }
        try await connection.start(web)
        try await expect(.running, .booted)
        try await connection.suspend(web)
        try await expect(.paused, .user)
        try await connection.resume(web)
        try await expect(.running, .unpaused)
        try await connection.destroy(web)
        try await expect(.shutoff, .destroyed)
        try await connection.start(web)
        try await connection.shutDown(web)
        try await expect(.shutoff, .shutdown)
    }

    @Test func `a paused start asks for one`() async throws {
        let host = try TestHost([TestHost.domain("web", runState: 5)])
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        // libvirt's test driver can't; its refusal names the flag, VIR_DOMAIN_START_PAUSED.
        let error = await #expect(throws: LibvirtError.self) { try await connection.start(web, .paused) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("(0x1)") == true)
    }

    @Test func `what the state does not allow is an invalid operation`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        try await connection.destroy(web)
        let error = await #expect(throws: LibvirtError.self) { try await connection.destroy(web) }
        #expect(error?.code == .operationInvalid)
        #expect(error?.call == "virDomainDestroy")
    }

    @Test func `a definition that is not a domain's is an error`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        var error = await #expect(throws: LibvirtError.self) { try await connection.define(xml: "<pool/>") }
        #expect(error?.code == .xmlError)
        error = await #expect(throws: LibvirtError.self) { try await connection.define(xml: "<domain") }
        #expect(error?.code == .xmlDetail)
    }

    @Test func `only strict validation refuses what the schema does not have`() async throws {
        let host = try TestHost([])
        let connection = try await Connection.open(host.uri)
        let odd = TestHost.domain("web", devices: "<teapot/>")
        let error = await #expect(throws: LibvirtError.self) {
            try await connection.define(xml: odd, validation: .strict)
        }
        #expect(error?.code == .xmlInvalidSchema)
        #expect(try await connection.define(xml: odd).name == "web")
    }

    @Test func `the inactive XML is that of the next start`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let disk = "<disk type='file' device='disk'><source file='/o.qcow2'/><target dev='vda' bus='virtio'/></disk>"
        try await connection.define(xml: TestHost.domain("web", devices: disk))
        #expect(try await !connection.xml(of: web).contains("/o.qcow2"))
        #expect(try await connection.xml(of: web).contains("<domain type='test' id='1'>"))
        #expect(try await connection.xml(of: web, .inactive).contains("/o.qcow2"))
        #expect(try await connection.xml(of: web, .inactive).contains("<domain type='test'>"))
    }

    @Test func `a password is in the XML only when asked for`() async throws {
        let host = try TestHost([
            TestHost.domain("web", devices: "<graphics type='vnc' passwd='sesame' port='-1' autoport='yes'/>")
        ])
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        #expect(try await !connection.xml(of: web).contains("sesame"))
        #expect(try await connection.xml(of: web, [.inactive, .secure]).contains("sesame"))

        let readOnly = try await Connection.open(host.uri, access: .readOnly)
        let error = await #expect(throws: LibvirtError.self) { try await readOnly.xml(of: web, .secure) }
        #expect(error?.code == .operationDenied)
    }

    @Test func `a managed save is seen and removed`() async throws {
        let host = try TestHost([
            TestHost.domain("web", runState: 5, test: "<test:hasmanagedsave>1</test:hasmanagedsave>")
        ])
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        #expect(try await connection.summary(of: web).hasManagedSave)
        try await connection.removeManagedSave(web)
        #expect(try await !connection.summary(of: web).hasManagedSave)
    }

    @Test func `snapshots are counted`() async throws {
        let snapshot = """
            <test:domainsnapshot><name>NAME</name><creationTime>1</creationTime><state>shutoff</state>
              <active>0</active>\(TestHost.domain("web"))</test:domainsnapshot>
            """
        let host = try TestHost([
            TestHost.domain(
                "web", test: ["one", "two"].map { snapshot.replacing("NAME", with: $0) }.joined())
        ])
        let connection = try await Connection.open(host.uri)
        #expect(try await connection.summary(of: connection.lookUp("web")).snapshotCount == 2)
    }

    @Test func `a volume has a path`() async throws {
        let host = try TestHost([
            TestHost.domain("web"),
            """
            <pool type='dir'><name>images</name><target><path>/images</path></target>
              <volume type='file'><name>web.img</name><capacity>1048576</capacity>
                <target><path>/images/web.img</path></target></volume></pool>
            """,
        ])
        let connection = try await Connection.open(host.uri)
        #expect(try await connection.volumePath(pool: "images", volume: "web.img") == "/images/web.img")
    }

    @Test func `a pool or a volume that does not exist is an error`() async throws {
        let connection = try await Connection.open("test:///default")
        var error = await #expect(throws: LibvirtError.self) {
            try await connection.volumePath(pool: "nowhere", volume: "web")
        }
        #expect(error?.code == .noStoragePool)
        error = await #expect(throws: LibvirtError.self) {
            try await connection.volumePath(pool: "default-pool", volume: "nothing")
        }
        #expect(error?.code == .noStorageVolume)
    }

    @Test func `a driver without block jobs says so`() async throws {
        let host = try TestHost()
        let connection = try await Connection.open(host.uri)
        let web = try await connection.lookUp("web")
        let error = await #expect(throws: LibvirtError.self) { try await connection.blockJob(of: web, disk: "vda") }
        #expect(error?.code == .noSupport)
        #expect(error?.call == "virDomainGetBlockJobInfo")
    }
}
