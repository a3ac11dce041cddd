import Foundation
import TestSupport
import Testing

extension FaultTests {
    /// virt-fsck is killed, exactly before one of its calls or at any time.
    @Suite(
        .enabled(if: KillSwitch.library != nil, "needs libKillSwitch.so beside virt-fsck: swift build --build-tests"))
    struct Kills {
        @Test(
            .enabled(if: TestHost.engines.contains("fuse"), "needs FUSE and loop devices"),
            .disabled(if: Extent.isInVM, "runs outside of the VM, where it is quicker"),
            arguments: Patient.Kind.allCases)
        func `a run by FUSE that is killed ends as the original or the repair, and nothing is left`(
            _ kind: Patient.Kind
        ) async throws {
            try await kill(runsOn: kind, by: "fuse", Extent.isFull ? nil : 6)
        }

        @Test(
            .enabled(if: TestHost.engines.contains("nbd"), "the kernel has no nbd; runs in the VM: make test"),
            arguments: Patient.Kind.allCases)
        func `a run by nbd that is killed ends as the original or the repair, and nothing is left`(
            _ kind: Patient.Kind
        ) async throws {
            let count = Extent.isInVM ? (Extent.isFull ? 12 : 2) : (Extent.isFull ? nil : 6)
            try await kill(runsOn: kind, by: "nbd", count)
        }

        @Test(.disabled(if: Extent.isInVM, "runs outside of the VM, where it is quicker"))
        func `a run that takes a refused merge back and is killed ends as the original or the repair`() async throws {
            let engine = try #require(TestHost.engines.last)
            try await kill(runsOn: .qcow2, by: engine, Extent.isFull ? 40 : 3, .reader)
        }

        /// - Parameter count: nil for all kills that ``Kill/choose(calls:duration:_:by:)`` knows.
        private func kill(
            runsOn kind: Patient.Kind, by engine: String, _ count: Int?, _ obstacle: Obstacle = .none
        ) async throws {
            var random = SeededGenerator(seed: Extent.seed, for: "\(kind) by \(engine), \(obstacle)")
            try await Workshop.with { shop in
                let patient = try await Patient.make(kind, in: shop)
                let (calls, duration) = try await undisturbed(patient, engine, obstacle)
                let kills = Kill.choose(calls: calls, duration: duration, count, by: &random)
                var ends: [String: Int] = [:]
                for kill in kills {
                    let outcome = try await KillOutcome.find(kill, on: patient, engine, obstacle)
                    #expect(outcome.isGood, "VIRT_FSCK_SEED=\(Extent.seed), \(kill): \(outcome)")
                    ends["\(outcome.after)", default: 0] += 1
                }
                print(
                    "\(kills.count) kills, \(kind) by \(engine), obstacle \(obstacle), VIRT_FSCK_SEED=\(Extent.seed), of a run with "
                        + "\(calls.count) calls in \(duration / 1000) ms: \(ends)")
            }
        }

        /// The calls of a run that nobody kills, and its duration in microseconds.
        private func undisturbed(
            _ patient: Patient, _ engine: String, _ obstacle: Obstacle
        ) async throws -> ([String], Int) {
            let log = "\(patient.shop.folder)/calls"
            let run = try await obstacle.during(patient) {
                try await patient.repair(engine, environment: KillSwitch.environment(nil, log: log))
            }
            try #require(run.exitStatus == (obstacle == .none ? 1 : 8), "\(run.output)\(run.errorOutput)")
            try #require(await GuestView.take(of: patient) == (obstacle == .none ? .repaired : .original))
            let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map(String.init)
            return (lines, Int(run.seconds * 1e6))
        }
    }
}
