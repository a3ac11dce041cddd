import Foundation
import TestSupport
import Testing

extension FaultTests {
    /// The power fails at any moment: what a write cache had not flushed is lost, or in part, or torn.
    @Suite(
        .enabled(if: TestHost.engines.contains("fuse"), "needs FUSE and loop devices"),
        .disabled(if: Extent.isInVM, "runs outside of the VM, where it is quicker"))
    struct PowerCuts {
        /// What happens while the power fails.
        enum Story: String, CaseIterable, CustomTestStringConvertible, Sendable {
            /// A repair.
            case repair
            /// A repair that is killed when it has just said that it merges, and recovered.
            case recover
            /// The same, recovered while the domain runs on its overlays.
            case recoverRunning
            /// A trial: the domain is started on its overlays, boots, and goes on to its disks.
            case trial
            /// One whose guest panics, and gets its disks back.
            case failedTrial

            var testDescription: String { rawValue }

            /// For ``Recording``.
            fileprivate var script: String {
                switch self {
                case .repair:
                    #"""
                    status=0
                    virt_fsck repair --no-start --engine fuse "$name" >&2 || status=$?
                    [ "$status" = 1 ]
                    """#
                case .recover: Self.killInMerge + "recover\n"
                case .recoverRunning:
                    Self.killInMerge
                        + #"""
                        virsh --quiet start "$name"
                        recover
                        virsh --quiet destroy "$name"
                        """#
                case .trial: Self.trial(endingWith: 1) + "virsh --quiet destroy \"$name\"\n"
                case .failedTrial: Self.trial(endingWith: 6)
                }
            }

            /// What runs in the domain.
            fileprivate var guest: Patient.Guest? {
                switch self {
                case .repair, .recover, .recoverRunning: nil
                case .trial: .boots
                case .failedTrial: .panics
                }
            }

            /// What its disks are when nothing fails.
            fileprivate var end: Patient.State { self == .failedTrial ? .original : .repaired }

            private static func trial(endingWith status: Int) -> String {
                #"""
                status=0
                virt_fsck repair --commit after-boot --boot-timeout 60 --engine fuse "$name" >&2 || status=$?
                [ "$status" = \#(status) ]

                """#
            }

            /// The third line of the journal says that the merge begins. It is written, and not on the disk yet.
            private static let killInMerge = #"""
                status=0
                LD_PRELOAD=$kill_switch KILL_SWITCH_MATCH="fsync /var/lib/virt-fsck/journal/" KILL_SWITCH_AT=3 \
                  virt_fsck repair --no-start --engine fuse "$name" >&2 || status=$?
                [ "$status" = 137 ]
                kill_programs
                recover() {
                  virt_fsck recover 2>&1 | tee "$results/recover" >&2
                  grep -q merging "$results/recover"
                }

                """#
        }

        /// What happens to which disks.
        struct Case: CustomTestStringConvertible, Sendable {
            var story: Story
            var kind: Patient.Kind
            /// How many cuts it gets.
            var cuts: Int

            var testDescription: String { "\(story), \(kind)" }

            static let all: [Case] =
                Extent.isFull
                ? Story.allCases.flatMap { story in
                    Patient.Kind.allCases.map { Case(story: story, kind: $0, cuts: 40) }
                }
                : zip([.repair, .recover, .recoverRunning], Patient.Kind.allCases).map {
                    Case(story: $0, kind: $1, cuts: 5)
                } + [Case(story: .trial, kind: .twoDisks, cuts: 5)]
        }

        @Test(arguments: Case.all)
        func `after a power cut the host starts the original or the repair, and recover ends the run`(
            _ example: Case
        ) async throws {
            var random = SeededGenerator(seed: Extent.seed, for: example.testDescription)
            try await Workshop.with { shop in
                let patient = try await Patient.make(example.kind, in: shop, example.story.guest)
                let recording = try await Recording.make(
                    of: patient, example.story.script, endingAs: example.story.end)
                let stable = "\(shop.folder)/stable.img"
                try await Tool.output(of: "cp", ["--sparse=always", recording.base, stable])
                var done = 0
                var seen: [Patient.State: Int] = [:]
                for cut in PowerCut.choose(example.cuts, from: recording.log, by: &random) {
                    let position = cut.stable(in: recording.log)
                    try recording.log.replay(done..<position, on: stable)
                    done = position
                    let image = "\(shop.folder)/cut.img"
                    try await Tool.output(of: "cp", ["--sparse=always", stable, image])
                    try cut.finish(image, from: recording.log)
                    let results = "\(shop.folder)/cut"
                    let outcome = try await CutOutcome.find(
                        on: image, of: recording.world, in: results,
                        TrialKill.Decision.allCases.randomElement(using: &random) ?? .keep)
                    #expect(
                        outcome.isGood,
                        "VIRT_FSCK_SEED=\(Extent.seed), \(cut) of \(recording.log.entries.count): \(outcome)")
                    seen[outcome.before.state, default: 0] += 1
                    // The tests' own libvirtd would end without a client.
                    _ = try await shop.state()
                    try FileManager.default.removeItem(atPath: results)
                }
                print(
                    "\(example.cuts) power cuts, \(example.testDescription), VIRT_FSCK_SEED=\(Extent.seed): the host found \(seen)"
                )
            }
        }
    }
}
