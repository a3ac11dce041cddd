import Foundation
import TestSupport
import Testing

extension TrialFaultTests {
    /// A run is killed, its domain started on the overlay by somebody, and its guest writes: only who says so gives that up.
    struct LaterWrites {
        /// Whether the guest runs when its run is recovered.
        enum Guest: CaseIterable {
            case runs
            case isOff
        }

        @Test(arguments: Guest.allCases)
        func `what a guest wrote to its overlay after the merge is kept`(_ guest: Guest) async throws {
            try await Workshop.with { shop in
                let patient = try await Patient.make(.qcow2, in: shop, .silent)
                var watch = try await killedAfterMerge(patient)
                if guest == .isOff { try await watch.stop() }
                let recovery = try await patient.virtFsck(["recover", shop.name])
                #expect(recovery.exitStatus == 0, "\(recovery)")
                try await expectEnd(.repaired, patient, &watch)
            }
        }

        @Test func `nothing is merged into a disk that somebody else has come to use`() async throws {
            try await Workshop.with { shop in
                let patient = try await Patient.make(.qcow2, in: shop, .silent)
                var watch = try await killedAfterMerge(patient)
                try await watch.stop()
                try await shop.define(
                    [Workshop.disk(patient.images[0], format: "qcow2", target: "hda", device: "cdrom", bus: "ide")],
                    suffix: "-other")
                let before = try await shop.snapshot()
                let refused = try await patient.virtFsck(["recover", shop.name])
                #expect(refused.exitStatus == 8, "\(refused)")
                #expect(refused.errorOutput.contains("used by \(shop.name)-other (hda)"), "\(refused)")
                #expect(refused.errorOutput.contains("virt-fsck recover \(shop.name)"), "\(refused)")
                try #expect(await shop.snapshot() == before)
                try await PrivateLibvirt.shared.virsh("undefine", "\(shop.name)-other")
                let recovery = try await patient.virtFsck(["recover", shop.name])
                #expect(recovery.exitStatus == 0, "\(recovery)")
                try await expectEnd(.repaired, patient, &watch)
            }
        }

        @Test(arguments: Extent.isFull ? TrialKill.Decision.allCases : [.keep])
        func `what a guest wrote is left with words when its domain is undefined`(
            _ decision: TrialKill.Decision
        ) async throws {
            try await Workshop.with { shop in
                let patient = try await Patient.make(.qcow2, in: shop, .silent)
                var watch = try await killedAfterMerge(patient)
                try await watch.stop()
                try await letTimePass(patient)
                try await PrivateLibvirt.shared.virsh("undefine", shop.name)
                try await expectWords("is gone", patient)
                let recovery = try await patient.virtFsck(["recover", "--\(decision)", shop.name])
                #expect(recovery.exitStatus == 0, "\(recovery)")
                try await patient.define()
                try await expectEnd(.repaired, patient, &watch, isDiscarded: decision == .discard)
            }
        }

        @Test(arguments: Extent.isFull ? TrialKill.Decision.allCases : [.discard])
        func `a trial is left with words when its domain is undefined`(_ decision: TrialKill.Decision) async throws {
            try await Workshop.with { shop in
                let patient = try await Patient.make(.qcow2, in: shop, .silent)
                _ = try await patient.afterBoot(try #require(TestHost.engines.last))
                var watch = TrialWatch(patient)
                _ = try await watch.look("on trial")
                try await watch.stop()
                try await PrivateLibvirt.shared.virsh("undefine", shop.name)
                // However little time has passed: the guest was started to write.
                try await expectWords("is gone", patient)
                let recovery = try await patient.virtFsck(["recover", "--\(decision)", shop.name])
                #expect(recovery.exitStatus == 0, "\(recovery)")
                try await patient.define()
                let isDiscarded = decision == .discard
                try await expectEnd(isDiscarded ? .original : .repaired, patient, &watch, isDiscarded: isDiscarded)
            }
        }

        @Test(arguments: Extent.isFull ? TrialKill.Decision.allCases : [.discard])
        func `what a guest wrote is left with words when somebody has given its domain the disk back`(
            _ decision: TrialKill.Decision
        ) async throws {
            try await Workshop.with { shop in
                let patient = try await Patient.make(.qcow2, in: shop, .silent)
                var watch = try await killedAfterMerge(patient)
                try await watch.stop()
                try await letTimePass(patient)
                let onOverlay = try await shop.xml()
                try await patient.define()
                try await expectWords("names another disk now", patient)
                switch decision {
                case .discard:
                    let recovery = try await patient.virtFsck(["recover", "--discard", shop.name])
                    #expect(recovery.exitStatus == 0, "\(recovery)")
                case .keep:
                    try await patient.define(onOverlay)
                    let recovery = try await patient.virtFsck(["recover", shop.name])
                    #expect(recovery.exitStatus == 0, "\(recovery)")
                }
                try await expectEnd(.repaired, patient, &watch, isDiscarded: decision == .discard)
            }
        }

        @Test(arguments: Extent.isFull ? TrialKill.Decision.allCases : [.keep])
        func `a failed trial that somebody starts again before it is taken back needs a decision`(
            _ decision: TrialKill.Decision
        ) async throws {
            try await Workshop.with { shop in
                let patient = try await Patient.make(.qcow2, in: shop, .panics)
                let run = try await patient.afterBoot(
                    try #require(TestHost.engines.last), environment: KillSwitch.environment(Self.lastStep))
                try #require(run.exitStatus == 137, "\(run)")
                var watch = TrialWatch(patient)
                try await watch.start()
                try await watch.stop()
                try await expectWords("was started on its overlay again", patient)
                let recovery = try await patient.virtFsck(["recover", "--\(decision)", shop.name])
                #expect(recovery.exitStatus == 0, "\(recovery)")
                let isDiscarded = decision == .discard
                try await expectEnd(isDiscarded ? .original : .repaired, patient, &watch, isDiscarded: isDiscarded)
            }
        }

        @Test func `whoever recovers a trial is told that its guest is paused`() async throws {
            try await Workshop.with { shop in
                let patient = try await Patient.make(.qcow2, in: shop, .silent)
                _ = try await patient.afterBoot(try #require(TestHost.engines.last))
                var watch = TrialWatch(patient)
                _ = try await watch.look("on trial")
                try await PrivateLibvirt.shared.virsh("suspend", shop.name)
                try await expectWords("it is paused (virsh resume \(shop.name))", patient)
                let recovery = try await patient.virtFsck(["recover", "--keep", shop.name])
                #expect(recovery.exitStatus == 0, "\(recovery)")
                #expect(recovery.output.contains("it is paused: virsh resume \(shop.name)"), "\(recovery)")
                try #expect(await shop.state() == "paused")
                try await expectEnd(.repaired, patient, &watch)
            }
        }

        /// The fourth line of the journal says that everything is merged, or of a trial that it is taken back. It is written,
        /// and nothing done of what it says.
        private static let lastStep = KillSwitch.Moment(call: 4, matching: "fsync /var/lib/virt-fsck/journal/")

        /// A run that is killed when it has merged, and whose guest writes to its overlay.
        private func killedAfterMerge(_ patient: Patient) async throws -> TrialWatch {
            let engine = try #require(TestHost.engines.last)
            let run = try await patient.repair(engine, environment: KillSwitch.environment(Self.lastStep))
            try #require(run.exitStatus == 137, "\(run)")
            // Its daemon has the overlay locked.
            HostState.killAll(ofRuns: HostState.runs(onDomain: patient.shop.name))
            let journal = try String(contentsOfFile: patient.journal, encoding: .utf8)
            try #require(journal.contains("{\"merged\""), "\(journal)")
            var watch = TrialWatch(patient)
            try await watch.start()
            try #require(watch.last?.place == .overlay)
            return watch
        }

        /// As if the run had been killed a minute ago: a file that changed only in its last seconds is its own work.
        private func letTimePass(_ patient: Patient) async throws {
            try await Tool.output(of: "touch", ["--date", "1 minute ago", patient.journal])
        }

        /// Expects the run to be left, with these words and a way out, and everything to stay.
        private func expectWords(_ words: String, _ patient: Patient) async throws {
            let recovery = try await patient.virtFsck(["recover", patient.shop.name])
            #expect(recovery.exitStatus == 8, "\(recovery)")
            #expect(recovery.errorOutput.contains(words), "\(recovery)")
            #expect(recovery.errorOutput.contains("recover --discard \(patient.shop.name)"), "\(recovery)")
            #expect(FileManager.default.fileExists(atPath: patient.journal))
            let files = try FileManager.default.contentsOfDirectory(atPath: patient.shop.disks)
            #expect(files.contains { $0.contains(".virt-fsck-") })
        }

        /// Expects an end at which nobody has lost a write without having said so, and nothing is left.
        private func expectEnd(
            _ state: Patient.State, _ patient: Patient, _ watch: inout TrialWatch, isDiscarded: Bool = false
        ) async throws {
            try await watch.stop()
            let end = try await watch.look("in the end")
            #expect(end.state == state)
            if isDiscarded {
                #expect(end.numbers == [0])
            } else {
                watch.judge(end, isDiscarded: false)
            }
            #expect(watch.problems == [])
            #expect(HostState.leftovers(ofDomain: patient.uuid) == [])
            try #expect(await patient.changes() == [])
        }
    }
}
