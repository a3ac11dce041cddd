import Testing

@testable import Repair

struct DecisionTests {
    @Test(arguments: [
        [], [VolumeResult.Outcome.clean], [.clean, .skipped, .unsupported, .notChecked], [.unrepaired],
        [.unrepaired, .clean], [.repairable],
    ]) func `without a proven repair the disks stay as they are`(outcomes: [VolumeResult.Outcome]) {
        let results = outcomes.enumerated().map { Sample.result("vda\($0.offset + 1)", $0.element) }
        #expect(Decision(results, writable: ["vda"]) == .discard)
    }

    @Test(arguments: [VolumeResult.Outcome.clean, .skipped, .unsupported, .notChecked, .unrepaired, .repairable])
    func `a proven repair is merged, and nothing beside it`(beside: VolumeResult.Outcome) {
        let good = Sample.result("vda1", .repaired)
        let results = [good, Sample.result("vda2", beside)]
        #expect(Decision(results, writable: ["vda"]) == .merge(disks: ["vda"], volumes: [good.volume]))
    }

    @Test func `two proven repairs are merged together`() {
        let results = [Sample.result("vda1", .repaired), Sample.result("vda2", .repaired)]
        #expect(Decision(results, writable: ["vda"]) == .merge(disks: ["vda"], volumes: Set(results.map(\.volume))))
    }

    @Test func `something unrepaired on another disk: only the proven disk is merged`() {
        let good = Sample.result("vda1", .repaired)
        let results = [good, Sample.result("vdb1", .unrepaired, disks: ["vdb"])]
        #expect(Decision(results, writable: ["vda", "vdb"]) == .merge(disks: ["vda"], volumes: [good.volume]))
    }

    @Test func `a repaired volume over two disks merges both`() {
        let good = Sample.result("vg/lv", .repaired, disks: ["vda", "vdb"])
        #expect(Decision([good], writable: ["vda", "vdb"]) == .merge(disks: ["vda", "vdb"], volumes: [good.volume]))
    }

    @Test func `a volume that lies on a read-only disk too is not merged, and what is proven beside it is`() {
        let split = Sample.result("vg/lv", .repaired, disks: ["vda", "vdb"])
        #expect(Decision([split], writable: ["vda"]) == .discard)
        let good = Sample.result("vda1", .repaired)
        #expect(Decision([good, split], writable: ["vda"]) == .merge(disks: ["vda"], volumes: [good.volume]))
    }

    @Test func `a repair on a read-only disk is not merged, and spoils nothing`() {
        let good = Sample.result("vda1", .repaired)
        let results = [good, Sample.result("vdb1", .repaired, disks: ["vdb"])]
        #expect(Decision(results, writable: ["vda"]) == .merge(disks: ["vda"], volumes: [good.volume]))
    }

    @Test func `volumes of the same name are told apart`() {
        // Two volume groups of one name, each with a volume of one name: the guest's own doing.
        let good = Sample.result("vg/root", .repaired, offset: 1 << 20)
        let bad = Sample.result("vg/root", .unrepaired, offset: 1 << 30)
        #expect(Decision([good, bad], writable: ["vda"]) == .merge(disks: ["vda"], volumes: [good.volume]))
    }

    @Test func `only what was merged is called repaired`() {
        let results = [
            Sample.result("vda1", .repaired), Sample.result("vdb1", .repaired, disks: ["vdb"]),
            Sample.result("vg/lv", .repaired, disks: ["vda", "vdb"]), Sample.result("vda2", .clean),
            Sample.result("vdb2", .unrepaired, disks: ["vdb"]),
        ]
        #expect(
            results.map { $0.afterMerge(of: ["vda"]).outcome }
                == [.repaired, .repairable, .repairable, .clean, .unrepaired])
        #expect(
            results.map { $0.afterMerge(of: []).outcome }
                == [.repairable, .repairable, .repairable, .clean, .unrepaired])
    }

    @Test(
        arguments: [
            ([], .unrepaired), ([.clean], .clean), ([.clean, .skipped], .clean), ([.clean, .notChecked], .clean),
            ([.repaired, .clean], .repaired), ([.repaired, .repairable], .repairable),
            ([.repaired, .repairable, .unrepaired], .unrepaired), ([.skipped], .unrepaired),
            ([.notChecked, .unsupported], .unrepaired),
        ] as [([VolumeResult.Outcome], DomainOutcome.Outcome)])
    func `a domain's verdict is the worst of its volumes`(
        outcomes: [VolumeResult.Outcome], expected: DomainOutcome.Outcome
    ) {
        var domain = DomainOutcome(plan: Sample.plan(), outcome: .failed)
        domain.take(outcomes.map { Sample.result("v", $0) })
        #expect(domain.outcome == expected)
        #expect(domain.isSound == (expected == .clean || expected == .repaired))
    }
}
