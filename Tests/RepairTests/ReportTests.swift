import FoundationEssentials
import HostTools
import Libvirt
import Testing

@testable import Repair

struct ExitStatusTests {
    private func domain(
        _ outcome: DomainOutcome.Outcome, _ volumes: [VolumeResult.Outcome] = [], boot: Boot.Outcome? = nil,
        isCommitted: Bool = false
    ) -> DomainOutcome {
        var domain = DomainOutcome(plan: Sample.plan(), outcome: outcome)
        domain.volumes = volumes.map { Sample.result("v", $0) }
        domain.boot = boot.map { Boot(outcome: $0, evidence: "", seconds: 0) }
        domain.isCommitted = isCommitted
        return domain
    }

    @Test(
        arguments: [
            (.clean, [.clean], 0), (.clean, [.clean, .skipped], 0), (.planned, [], 0),
            (.repaired, [.repaired, .clean], 1),
            (.repairable, [.repairable], 4), (.unrepaired, [.unrepaired], 4),
            (.unrepaired, [.unrepaired, .repaired], 5),
            (.refused, [], 8), (.failed, [], 8),
            // Nothing that could not be checked is ever 0.
            (.clean, [.clean, .notChecked], 4), (.clean, [.clean, .unsupported], 4), (.unrepaired, [.notChecked], 4),
            (.repaired, [.repaired, .notChecked], 5), (.repairable, [.repaired, .repairable], 5),
        ] as [(DomainOutcome.Outcome, [VolumeResult.Outcome], Int32)])
    func `a domain's share is that of fsck(8)`(
        outcome: DomainOutcome.Outcome, volumes: [VolumeResult.Outcome], status: Int32
    ) {
        #expect(ExitStatus(domain(outcome, volumes)).rawValue == status)
    }

    @Test(
        arguments: [
            (Boot.Outcome.failed, true, 3), (.failed, false, 9), (.unknown, true, 1), (.booted, true, 1),
            (.notStarted, true, 1),
        ] as [(Boot.Outcome, Bool, Int32)]) func `a repaired domain that does not come up adds 2`(
            boot: Boot.Outcome, isCommitted: Bool, status: Int32
        )
    {
        #expect(ExitStatus(domain(.repaired, [.repaired], boot: boot, isCommitted: isCommitted)).rawValue == status)
    }

    @Test func `the shares of all domains are joined`() {
        let domains = [
            domain(.clean, [.clean]), domain(.repaired, [.repaired]), domain(.unrepaired, [.unrepaired]),
            domain(.refused),
        ]
        #expect(ExitStatus(domains).rawValue == 13)
        #expect(ExitStatus([]).rawValue == 0)
        var report = Report(
            version: "", host: "", connection: "", startedAt: Date(), finishedAt: Date(), domains: [domain(.repaired)])
        report.additionalStatus = .cancelled
        #expect(report.exitStatus.rawValue == 33)
    }
}

struct JSONReportTests {
    /// One document with every field that the design names.
    @Test func `the document has the shape that was promised`() throws {
        var disk = Sample.diskInventory()
        disk.check = .leaks
        var plan = Sample.plan(Sample.inventory([disk], summary: Sample.summary(snapshots: 1)))
        plan.engine = .fuse
        plan.engineReason = "no nbd here"
        var domain = DomainOutcome(plan: plan, outcome: .repaired, message: "m")
        var result = Sample.result("vda1", .repaired)
        result.volume.label = "root"
        result.volume.uuid = "1234"
        result.message = "its journal was replayed"
        result.exitStatus = 1
        result.seconds = 1.23456
        result.log = "/var/log/virt-fsck/web/vda1.log"
        domain.volumes = [result]
        domain.isCommitted = true
        domain.seconds = [
            StageTime(stage: "attach", seconds: 0.12345), StageTime(stage: "check", seconds: 1),
            StageTime(stage: "check", seconds: 2),
        ]
        domain.boot = Boot(outcome: .booted, evidence: "login:", seconds: 7.5)
        let report = Report(
            version: "0.1.0", host: "kvm1", connection: "qemu:///system", startedAt: Date(timeIntervalSince1970: 0),
            finishedAt: Date(timeIntervalSince1970: 61), domains: [domain])
        #expect(
            try report.json() == """
                {
                  "connection" : "qemu:///system",
                  "domains" : [
                    {
                      "boot" : {
                        "evidence" : "login:",
                        "outcome" : "booted",
                        "seconds" : 7.5
                      },
                      "committed" : true,
                      "disks" : [
                        {
                          "format" : "qcow2",
                          "image" : {
                            "outcome" : "leaks"
                          },
                          "plan" : "check and repair",
                          "source" : "/images/web.qcow2",
                          "target" : "vda",
                          "volumes" : [
                            {
                              "exitStatus" : 1,
                              "label" : "root",
                              "log" : "/var/log/virt-fsck/web/vda1.log",
                              "message" : "its journal was replayed",
                              "name" : "vda1",
                              "outcome" : "repaired",
                              "seconds" : 1.235,
                              "size" : 16777216,
                              "type" : "ext4",
                              "uuid" : "1234"
                            }
                          ]
                        }
                      ],
                      "engine" : "fuse",
                      "engineReason" : "no nbd here",
                      "message" : "m",
                      "name" : "web",
                      "outcome" : "repaired",
                      "seconds" : {
                        "attach" : 0.123,
                        "check" : 3
                      },
                      "state" : "shutoff",
                      "stateReason" : "crashed",
                      "uuid" : "00000000-0000-4000-8000-000000000001",
                      "warnings" : [
                        "its snapshots keep the old, damaged state"
                      ]
                    }
                  ],
                  "exitStatus" : 1,
                  "finishedAt" : "1970-01-01T00:01:01Z",
                  "host" : "kvm1",
                  "schemaVersion" : 1,
                  "startedAt" : "1970-01-01T00:00:00Z",
                  "version" : "0.1.0"
                }

                """)
    }

    @Test func `a domain of which nothing is known has the fields that are always there`() throws {
        let report = Report(
            version: "", host: "", connection: "", startedAt: Date(), finishedAt: Date(),
            domains: [DomainOutcome(name: "nobody", outcome: .failed, message: "no domain")])
        let domain = try #require(try JSONValue(parsing: report.json())["domains"]?.elements.first)
        #expect(
            domain == [
                "name": "nobody", "outcome": "failed", "message": "no domain", "warnings": [], "disks": [],
                "committed": false, "seconds": [:],
                "boot": ["outcome": "not-started", "evidence": "", "seconds": 0],
            ])
    }

    @Test func `a diagnosis is a field where one was made, and a line for each finding`() throws {
        var domain = DomainOutcome(plan: Sample.plan(), outcome: .repaired)
        domain.boot = Boot(outcome: .failed, evidence: "Kernel panic", seconds: 1)
        domain.diagnosis = ["vda1: /boot has no kernel (vmlinuz-…)", "vda1: /sbin/init is missing"]
        let report = Report(
            version: "", host: "", connection: "", startedAt: Date(), finishedAt: Date(), domains: [domain])
        let row = try #require(try JSONValue(parsing: report.json())["domains"]?.elements.first)
        #expect(row["diagnosis"] == ["vda1: /boot has no kernel (vmlinuz-…)", "vda1: /sbin/init is missing"])
        #expect(
            TextReport(report, verbosity: .normal).results.hasSuffix(
                """
                  start failed: Kernel panic
                  look: vda1: /boot has no kernel (vmlinuz-…)
                  look: vda1: /sbin/init is missing

                """))
    }

    @Test func `every verdict has the word that was promised`() {
        #expect(
            [VolumeResult.Outcome.clean, .repaired, .repairable, .unrepaired, .unsupported, .notChecked, .skipped].map(
                \.rawValue)
                == ["clean", "repaired", "repairable", "unrepaired", "unsupported", "not-checked", "skipped"])
        #expect(
            [DomainOutcome.Outcome.clean, .repaired, .repairable, .unrepaired, .refused, .failed, .planned].map(
                \.rawValue)
                == ["clean", "repaired", "repairable", "unrepaired", "refused", "failed", "planned"])
        #expect(
            [Boot.Outcome.booted, .failed, .unknown, .notStarted].map(\.rawValue)
                == ["booted", "failed", "unknown", "not-started"])
    }

    @Test func `each volume stands under its own disk, once`() throws {
        let disks = [Sample.diskInventory(), Sample.diskInventory(Sample.disk("vdb", path: "/images/data.qcow2"))]
        var domain = DomainOutcome(plan: Sample.plan(Sample.inventory(disks)), outcome: .clean)
        domain.volumes = [
            Sample.result("vda1", .clean), Sample.result("vg/lv", .clean, disks: ["vdb", "vda"]),
            Sample.result("vdb1", .clean, disks: ["vdb"]),
        ]
        let report = Report(
            version: "", host: "", connection: "", startedAt: Date(), finishedAt: Date(), domains: [domain])
        let found = try JSONValue(parsing: report.json())["domains"]?.elements.first?["disks"]?.elements.map { disk in
            disk["volumes"]?.elements.compactMap { $0["name"]?.string }
        }
        #expect(found == [["vda1"], ["vg/lv", "vdb1"]])
    }
}

struct TextReportTests {
    private func text(_ domain: DomainOutcome, _ verbosity: TextReport.Verbosity = .normal) -> TextReport {
        TextReport(
            Report(version: "", host: "", connection: "", startedAt: Date(), finishedAt: Date(), domains: [domain]),
            verbosity: verbosity)
    }

    @Test func `a repaired domain: its volumes in columns, and what became of the start`() {
        var domain = DomainOutcome(plan: Sample.plan(), outcome: .repaired)
        var swap = Sample.result("vda10", .skipped)
        swap.volume.content = .nothingToCheck(type: "swap", why: "")
        swap.volume.size = 512
        swap.message = "swap space"
        domain.volumes = [Sample.result("vda1", .repaired), swap]
        domain.boot = .notStarted("as asked")
        let shown = text(domain)
        #expect(
            shown.results == """
                web: repaired
                  vda1   ext4   16.0 MiB  repaired
                  vda10  swap      512 B  skipped: swap space
                  not started: as asked

                """)
        #expect(shown.problems == "")
    }

    @Test func `damage that is left names the log, and what to do`() {
        var domain = DomainOutcome(plan: Sample.plan(), outcome: .unrepaired)
        var result = Sample.result("vda1", .unrepaired)
        result.message = "e2fsck can't repair it"
        result.log = "/var/log/x.log"
        domain.volumes = [result]
        #expect(
            text(domain).results == """
                web: unrepaired
                  vda1  ext4   16.0 MiB  unrepaired: e2fsck can't repair it
                    log: /var/log/x.log
                  the disks are as they were; look at the logs, or restore from a backup

                """)
    }

    @Test func `what is repairable says how to repair it`() {
        var domain = DomainOutcome(plan: Sample.plan(), outcome: .repairable)
        domain.volumes = [Sample.result("vda1", .repairable)]
        #expect(text(domain).results.hasSuffix("  next: virt-fsck repair web\n"))
    }

    @Test func `refusals and failures go to standard error, a line each`() {
        let refused = text(DomainOutcome(plan: Sample.plan(), outcome: .refused, message: "vda: one\nvdb: two"))
        #expect(refused.results == "")
        #expect(refused.problems == "web: refused: vda: one\nweb: refused: vdb: two\n")
        let failed = text(DomainOutcome(name: "db", outcome: .failed, message: "no domain"))
        #expect(failed.problems == "db: failed: no domain\n")
    }

    @Test func `warnings go to standard error`() {
        let plan = Sample.plan(Sample.inventory(summary: Sample.summary(snapshots: 1)))
        #expect(
            text(DomainOutcome(plan: plan, outcome: .clean)).problems
                == "web: warning: its snapshots keep the old, damaged state\n")
    }

    @Test func `a plan says what would be done`() {
        let plan = Sample.plan(Sample.inventory(summary: Sample.summary(.crashed, .panicked, isActive: true)))
        #expect(
            text(DomainOutcome(plan: plan, outcome: .planned)).results == """
                web: crashed (panicked); would be done:
                  power it off (crashed)
                  vda  check and repair  /images/web.qcow2 (qcow2, 1.0 GiB)
                  engine: nbd (the host has nbd), mapping: deviceMapper

                """)
    }

    @Test func `verbose adds stages, engine and every log`() {
        var domain = DomainOutcome(plan: Sample.plan(), outcome: .clean)
        var result = Sample.result("vda1", .clean)
        result.log = "/var/log/x.log"
        domain.volumes = [result]
        domain.seconds = [StageTime(stage: "plan", seconds: 0.1), StageTime(stage: "check", seconds: 12.345)]
        let shown = text(domain, .verbose).results
        #expect(shown.contains("    log: /var/log/x.log\n"))
        #expect(shown.contains("  stages: plan 0.10 s, check 12.35 s\n") || shown.contains("check 12.34 s"))
        #expect(shown.contains("  engine: nbd (the host has nbd), mapping: deviceMapper\n"))
        #expect(!text(domain).results.contains("log:"))
    }

    @Test func `no name of a guest can steer the terminal`() {
        let hostile = "\u{1B}[2Jevil\r\n\u{202E}\u{9B}31m"
        var domain = DomainOutcome(plan: Sample.plan(), outcome: .unrepaired, message: hostile)
        domain.name = hostile
        var result = Sample.result(hostile, .unrepaired)
        result.volume.content = .unclear(type: hostile, why: hostile)
        result.message = hostile
        result.log = hostile
        domain.volumes = [result]
        domain.boot = Boot(outcome: .failed, evidence: hostile, seconds: 0)
        domain.diagnosis = [hostile]
        domain.plan?.warnings = [hostile]
        domain.plan?.disks[0].path = hostile
        domain.plan?.disks[0].format = hostile
        domain.plan?.disks[0].target = hostile
        for outcome in [DomainOutcome.Outcome.unrepaired, .refused, .failed, .planned, .repairable] {
            domain.outcome = outcome
            let shown = text(domain, .verbose)
            for scalar in (shown.results + shown.problems).unicodeScalars where scalar != "\n" {
                #expect(scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value) && scalar.value != 0x202E)
            }
        }
    }

    @Test(arguments: [
        ("plain text, ümläut 文字 🧀", "plain text, ümläut 文字 🧀"), ("\u{1B}[0m", "\\u{1b}[0m"), ("a\tb", "a\\u{9}b"),
        ("a\u{200B}b", "a\\u{200b}b"), ("\u{202E}x", "\\u{202e}x"), ("\u{7F}", "\\u{7f}"), ("\u{2028}", "\\u{2028}"),
        ("\u{E000}", "\\u{e000}"), ("", ""),
    ]) func `what could steer a terminal is shown instead of sent`(text: String, shown: String) {
        #expect(text.escapedForTerminal == shown)
    }

    @Test(
        arguments: [
            (0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1_048_524, "1023.9 KiB"),
            (1_048_575, "1.0 MiB"), (1 << 30, "1.0 GiB"), (10 << 40, "10.0 TiB"), (.max, "16.0 EiB"),
        ] as [(UInt64, String)]) func `sizes are said in binary units`(bytes: UInt64, words: String)
    {
        #expect(ByteCount.words(bytes) == words)
    }

    @Test(arguments: [(0, "0.00 s"), (0.004, "0.00 s"), (0.05, "0.05 s"), (1.5, "1.50 s"), (61.999, "62.00 s")])
    func `times are said in seconds`(seconds: Double, words: String) {
        #expect(Seconds.words(seconds) == words)
    }
}
