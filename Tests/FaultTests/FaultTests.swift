import Foundation
import TestSupport
import Testing

/// Kills and power cuts: after each of them the host has either the damaged original or the proven repair, and
/// `virt-fsck recover` brings the run to one of these two ends with nothing left.
@Suite(
    .serialized, .timeLimit(.minutes(120)),
    .enabled(if: TestHost.isUsable, "needs root, libvirt, QEMU, and nbd or FUSE"),
    .enabled(if: Tool.path(of: "xmllint") != nil, "needs xmllint (libxml2-utils)"))
enum FaultTests {}

/// How much of the endless number of faults is tried.
enum Extent {
    /// `VIRT_FSCK_FAULTS=full` (make test-faults).
    static let isFull = environment["VIRT_FSCK_FAULTS"] == "full"

    /// The VM of the system tests, which has nbd and device-mapper, and is about 20 times slower.
    static let isInVM = environment["RUN_IN_VM"] != nil

    /// The tests' random numbers; `VIRT_FSCK_SEED` repeats those of an earlier run.
    static let seed = environment["VIRT_FSCK_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000_000)

    private static var environment: [String: String] { ProcessInfo.processInfo.environment }
}
