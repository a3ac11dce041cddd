import Foundation
import Glibc
import Libvirt
import Testing

@testable import Repair

/// Which domains count as failed, and how that is shown.
struct ListTests {
    @Test(arguments: [
        (DomainState.crashed, StateReason.panicked, "libvirt says crashed (panicked)"),
        (.crashed, .unknown, "libvirt says crashed (unknown)"),
        (.shutoff, .crashed, "its QEMU ended unexpectedly (shut off: crashed)"),
        (.shutoff, .failed, "it failed to start (shut off: failed)"),
        (.paused, .ioError, "an I/O error of a disk paused it"),
        (.paused, .crashed, "its guest crashed, and was paused"),
    ])
    func `a state that is a failure is one whatever else is set`(
        _ state: DomainState, _ reason: StateReason, _ words: String
    ) {
        #expect(FailureEvidence.inState(of: summary(state, reason)) == words)
        #expect(FailureEvidence.inState(of: summary(state, reason, autostart: true)) == words)
    }

    @Test func `no other state is a failure by itself`() {
        let failures: [DomainState: Set<StateReason>] = [
            .shutoff: [.crashed, .failed], .paused: [.ioError, .crashed],
            .crashed: Set(StateReason.allCases),
        ]
        let states: [DomainState] = [
            .running, .paused, .shutdown, .shutoff, .crashed, .pmsuspended, .nostate, .blocked,
        ]
        for state in states {
            for reason in StateReason.allCases where failures[state]?.contains(reason) != true {
                #expect(FailureEvidence.inState(of: summary(state, reason)) == nil, "\(state) \(reason)")
            }
        }
    }

    @Test(arguments: [
        (DomainState.shutoff, StateReason.shutdown, false, true), (.shutoff, .unknown, false, true),
        (.running, .booted, true, false), (.paused, .user, true, false),
    ])
    func `a domain that shall start with the host has failed when it is off`(
        _ state: DomainState, _ reason: StateReason, _ isActive: Bool, _ isFailed: Bool
    ) {
        let evidence = FailureEvidence.inState(of: summary(state, reason, autostart: true, isActive: isActive))
        #expect((evidence != nil) == isFailed)
        if isFailed { #expect(evidence == "it is to start with the host (autostart), and doesn't run") }
    }

    @Test func `the table has a line for each domain, and only what a terminal may see`() {
        let report = ListReport(domains: [
            DomainListing(
                summary: summary(.shutoff, .crashed, name: "web"), evidence: "its QEMU ended",
                disks: [disk("vda", "/images/web.qcow2"), disk("vdb", "/images/data.img", "raw")]),
            DomainListing(summary: summary(.running, .booted, name: "evil\u{1B}[2J"), evidence: nil, disks: []),
            DomainListing(summary: summary(.running, .booted, name: "mute"), evidence: nil, hint: "mute", disks: []),
        ])
        let lines = [
            "Name            State               Failed   Evidence         Disks",
            String(repeating: "-", count: 104),
            "web             shutoff (crashed)   yes      its QEMU ended   vda=/images/web.qcow2 vdb=/images/data.img",
            #"evil\u{1b}[2J   running (booted)    no       -"#,
            "mute            running (booted)    no       no proof: mute",
        ]
        #expect(report.text == lines.map { " \($0)\n" }.joined())
        #expect(!report.text.unicodeScalars.contains("\u{1B}"))
        #expect(ListReport(domains: []).text == "no domain has failed\n")
    }

    @Test func `the document has the fields of its description`() throws {
        let report = ListReport(domains: [
            DomainListing(
                summary: summary(.shutoff, .crashed, autostart: true), evidence: "why",
                disks: [disk("vda", "/images/web.qcow2")]),
            DomainListing(summary: summary(.running, .booted), evidence: nil, hint: "silent", disks: []),
        ])
        let disks: [[String: String]] = [["target": "vda", "source": "/images/web.qcow2", "format": "qcow2"]]
        let expected: [String: Any] = [
            "schemaVersion": 1,
            "domains": [
                [
                    "name": "web", "uuid": Sample.uuid, "state": "shutoff", "stateReason": "crashed", "autostart": true,
                    "failed": true, "evidence": "why", "hint": "", "disks": disks,
                ] as [String: Any],
                [
                    "name": "web", "uuid": Sample.uuid, "state": "running", "stateReason": "booted", "autostart": false,
                    "failed": false, "evidence": "", "hint": "silent", "disks": [String](),
                ],
            ],
        ]
        let document = try JSONSerialization.jsonObject(with: Data(try report.json().utf8)) as? NSDictionary
        #expect(document == expected as NSDictionary)
        #expect(try report.json().hasSuffix("}\n"))
        let empty = try JSONSerialization.jsonObject(with: Data(try ListReport(domains: []).json().utf8))
        #expect((empty as? NSDictionary) == ["schemaVersion": 1, "domains": [String]()] as NSDictionary)
    }

    private func summary(
        _ state: DomainState, _ reason: StateReason, autostart: Bool = false, isActive: Bool? = nil,
        name: String = "web"
    ) -> DomainSummary {
        DomainSummary(
            id: DomainID(uuid: Sample.uuid, name: name), numericID: nil, state: state, reason: reason,
            isPersistent: true, isActive: isActive ?? (state != .shutoff), autostart: autostart, hasManagedSave: false,
            snapshotCount: 0, checkpointCount: 0)
    }

    private func disk(_ target: String, _ source: String, _ format: String = "qcow2") -> DomainListing.Disk {
        DomainListing.Disk(target: target, source: source, format: format)
    }
}

/// A guest that is asked to go, or whose plug is pulled.
struct PowerOffTests {
    @Test func `a plug is pulled only when asked for`() async throws {
        let (connection, domain, host) = try await running()
        var options = Options()
        options.powerOff.forces = true
        try await PowerOff(connection: connection, domain: domain, options: options) { _ in }.run()
        #expect(try await !connection.summary(of: domain).isActive)
        _ = host
    }

    @Test func `a guest that doesn't react keeps its plug, and the words name the way out`() async throws {
        let (connection, domain, host) = try await running()
        var options = Options()
        options.powerOff.asks = true
        options.powerOff.patience = .zero
        let error = await #expect(throws: DomainProblem.self) {
            try await PowerOff(connection: connection, domain: domain, options: options) { _ in }.run()
        }
        #expect(error?.kind == .refusal)
        #expect(error?.description == "web: did not shut down within 0 s; pull its plug: --force-off")
        #expect(try await connection.summary(of: domain).isActive)
        _ = host
    }

    @Test func `a guest that doesn't react loses its plug where both was asked for`() async throws {
        let (connection, domain, host) = try await running()
        var options = Options()
        options.powerOff.asks = true
        options.powerOff.forces = true
        options.powerOff.patience = .zero
        try await PowerOff(connection: connection, domain: domain, options: options) { _ in }.run()
        #expect(try await !connection.summary(of: domain).isActive)
        _ = host
    }

    @Test func `a guest that reacts is given its time`() async throws {
        let (connection, domain, host) = try await running()
        var options = Options()
        options.powerOff.asks = true
        try await PowerOff(connection: connection, domain: domain, options: options) { _ in }.run()
        #expect(try await connection.summary(of: domain).reason == .shutdown)
        _ = host
    }

    @Test func `a guest that was chosen as dead, and isn't any more, is left alone`() async throws {
        let (connection, domain, host) = try await running()
        var options = Options()
        options.powerOff.forces = true
        options.powerOff.evidence = .required
        let error = await #expect(throws: DomainProblem.self) {
            try await PowerOff(connection: connection, domain: domain, options: options) { _ in }.run()
        }
        #expect(error?.kind == .refusal)
        #expect(error?.description.contains("left alone") == true)
        #expect(try await connection.summary(of: domain).isActive)
        _ = host
    }

    private func running() async throws -> (Connection, DomainID, TestHost) {
        let host = try TestHost()
        let connection = try await host.connect(runState: 1)
        return (connection, try await connection.lookUp("web"), host)
    }
}
