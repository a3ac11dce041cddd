import Foundation
import TestSupport
import Testing

extension TrialFaultTests {
    /// A trial (`--commit after-boot`) is killed while its guest writes.
    struct Kills {
        /// A guest on its disks.
        struct Case: CustomTestStringConvertible, Sendable {
            var guest: Patient.Guest
            var kind: Patient.Kind

            var testDescription: String { "\(guest), \(kind)" }

            static let all: [Case] =
                Extent.isFull
                ? Patient.Guest.allCases.flatMap { guest in
                    Patient.Kind.allCases.map { Case(guest: guest, kind: $0) }
                }
                : [
                    Case(guest: .boots, kind: .twoDisks), Case(guest: .panics, kind: .raw),
                    Case(guest: .silent, kind: .qcow2),
                ]
        }

        @Test(arguments: Case.all)
        func `a trial that is killed ends as the original or the repair, and no write of its guest is lost`(
            _ example: Case
        ) async throws {
            var random = SeededGenerator(seed: Extent.seed, for: "trial, \(example.testDescription)")
            let engine = try #require(TestHost.engines.last)
            try await Workshop.with { shop in
                let patient = try await Patient.make(example.kind, in: shop, example.guest)
                let log = "\(shop.folder)/calls"
                let run = try await patient.afterBoot(engine, environment: KillSwitch.environment(nil, log: log))
                let expected: Int32 = [.boots: 1, .panics: 6, .silent: 4][example.guest] ?? 0
                try #require(run.exitStatus == expected, "\(run.output)\(run.errorOutput)")
                var kills = TrialKill.choose(
                    .run, calls: try calls(log), duration: Int(run.seconds * 1e6),
                    Extent.isFull ? nil : example.guest == .boots ? 2 : 1, by: &random)
                if example.guest == .silent {
                    let log = "\(shop.folder)/recovery"
                    let recovery = try await patient.virtFsck(
                        ["recover", "--keep", shop.name], KillSwitch.environment(nil, log: log))
                    try #require(recovery.exitStatus == 0, "\(recovery.output)\(recovery.errorOutput)")
                    kills += TrialKill.choose(
                        .recovery, calls: try calls(log), duration: Int(recovery.seconds * 1e6),
                        Extent.isFull ? nil : 1, by: &random)
                }
                _ = try? await PrivateLibvirt.shared.virsh("destroy", shop.name)
                var ends: [String: Int] = [:]
                for kill in kills {
                    let outcome = try await TrialKillOutcome.find(kill, on: patient, engine, endings: [expected])
                    #expect(outcome.problems.isEmpty, "VIRT_FSCK_SEED=\(Extent.seed), \(kill): \(outcome)")
                    ends["\(outcome.end)", default: 0] += 1
                }
                print(
                    "\(kills.count) kills of trials, \(example.testDescription) by \(engine), VIRT_FSCK_SEED=\(Extent.seed): \(ends)"
                )
            }
        }

        private func calls(_ log: String) throws -> [String] {
            try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map(String.init)
        }
    }
}
