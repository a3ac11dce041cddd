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

    @Test(arguments: [VolumeResult.Outcome.clean, .skipped, .unsupported, .notChecked, .repaired])
    func `a proven repair is merged, with what was not written beside it`(beside: VolumeResult.Outcome) {
        let results = [Sample.result("vda1", .repaired), Sample.result("vda2", beside)]
        #expect(Decision(results, writable: ["vda"]) == .merge(disks: ["vda"]))
    }

    @Test func `something unrepaired on the same disk: once more, with the proven one only`() {
        let good = Sample.result("vda1", .repaired)
        let results = [good, Sample.result("vda2", .unrepaired)]
        #expect(Decision(results, writable: ["vda"]) == .redo(volumes: [good.volume]))
    }

    @Test func `the second time, what was not written again spoils nothing`() {
        let good = Sample.result("vda1", .repaired)
        let results = [good, Sample.result("vda2", .unrepaired)]
        #expect(Decision(results, writable: ["vda"], written: [good.volume]) == .merge(disks: ["vda"]))
        // But where the second repair fails, nothing is merged.
        let failed = [Sample.result("vda1", .unrepaired), Sample.result("vda2", .unrepaired)]
        #expect(Decision(failed, writable: ["vda"], written: [good.volume]) == .discard)
    }

    @Test func `something unrepaired on another disk: only the proven disk is merged`() {
        let results = [Sample.result("vda1", .repaired), Sample.result("vdb1", .unrepaired, disks: ["vdb"])]
        #expect(Decision(results, writable: ["vda", "vdb"]) == .merge(disks: ["vda"]))
    }

    @Test func `a repaired volume over two disks merges both`() {
        let results = [Sample.result("vg/lv", .repaired, disks: ["vda", "vdb"])]
        #expect(Decision(results, writable: ["vda", "vdb"]) == .merge(disks: ["vda", "vdb"]))
    }

    @Test func `an unrepaired volume over two disks spoils both`() {
        let good = Sample.result("vda1", .repaired)
        let results = [good, Sample.result("vg/lv", .unrepaired, disks: ["vdb", "vda"])]
        #expect(Decision(results, writable: ["vda", "vdb"]) == .redo(volumes: [good.volume]))
    }

    @Test func `a volume that lies on a read-only disk too can't be merged, and spoils the other disk`() {
        let split = Sample.result("vg/lv", .repaired, disks: ["vda", "vdb"])
        #expect(Decision([split], writable: ["vda"]) == .discard)
        let good = Sample.result("vda1", .repaired)
        #expect(Decision([good, split], writable: ["vda"]) == .redo(volumes: [good.volume]))
    }

    @Test func `a repair on a read-only disk is not merged, and spoils nothing`() {
        let results = [Sample.result("vda1", .repaired), Sample.result("vdb1", .repaired, disks: ["vdb"])]
        #expect(Decision(results, writable: ["vda"]) == .merge(disks: ["vda"]))
    }

    @Test func `volumes of the same name are told apart`() {
        // Two volume groups of one name, each with a volume of one name: the guest's own doing.
        let good = Sample.result("vg/root", .repaired, offset: 1 << 20)
        let bad = Sample.result("vg/root", .unrepaired, offset: 1 << 30)
        #expect(Decision([good, bad], writable: ["vda"]) == .redo(volumes: [good.volume]))
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
