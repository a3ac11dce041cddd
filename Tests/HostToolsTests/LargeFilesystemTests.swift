import Foundation
import HostTools
import SystemPackage
import Testing

private let programs = ["mkfs.ext4", "mkfs.xfs", "mkfs.fat", "debugfs", "xfs_db", "e2fsck", "fsck.fat", "xfs_repair"]
private let hasPrograms = programs.allSatisfy { HostCommandRunner().path(of: $0) != nil }

/// Large filesystems under the tightest limits that a checker is given: those of a small host.
@Suite(
    .enabled(if: Cell.isPossible && hasPrograms, "needs root, FUSE, bubblewrap and the tools of ext4, xfs and vfat"),
    .serialized, .timeLimit(.minutes(40)))
struct LargeFilesystemTests {
    struct Large: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var checker: Checker
        var make: [String]
        /// The program that damages it and its arguments; the path is appended. None: a cluster of a FAT.
        var damage: [String] = []
    }

    @Test(arguments: [
        Large(
            testDescription: "ext4", checker: .ext, make: ["mkfs.ext4", "-q", "-F"],
            damage: ["debugfs", "-w", "-R", "clri <11>"]),
        Large(
            testDescription: "xfs", checker: .xfs(log: .keep), make: ["mkfs.xfs", "-q", "-f"],
            damage: ["xfs_db", "-x", "-c", "agf 0", "-c", "write -d freeblks 7"]),
        // One that was grown again and again: xfs_repair starts threads for each group.
        Large(
            testDescription: "xfs of 1,000 allocation groups", checker: .xfs(log: .keep),
            make: ["mkfs.xfs", "-q", "-f", "-d", "agcount=1000"],
            damage: ["xfs_db", "-x", "-c", "agf 0", "-c", "write -d freeblks 7"]),
        Large(testDescription: "vfat", checker: .fat, make: ["mkfs.fat", "-F", "32"]),
    ])
    func `a filesystem of 64 GiB is repaired within the limits`(_ large: Large) async throws {
        let folder = try ScratchFolder()
        let sandbox = Sandbox(.bubblewrap, limits: ResourceLimits(memory: 4 << 30))
        let cell = try Cell(folder, sandbox, size: 64 << 30)
        try await run(large.make + [cell.disk])
        if large.damage.isEmpty { try leaveClusterBehind(cell.disk) } else { try await run(large.damage + [cell.disk]) }

        let found = try await check(cell, large.checker, .readOnly)
        #expect(found.claim == .errorsLeft, "\(found.result)")
        let repair = try await check(cell, large.checker, .readWrite)
        #expect(repair.claim == .repaired, "\(repair.result)")
        let proof = try await check(cell, large.checker, .readOnly)
        #expect(proof.claim == .nothingWrong, "\(proof.result)")
    }

    private func check(
        _ cell: Cell, _ checker: Checker, _ mode: DeviceAccess
    ) async throws -> (claim: Checker.Claim, result: CommandResult) {
        let result = try await cell.run(
            checker.program, checker.arguments(mode) + [Cell.device], needing: checker.need)
        return (checker.claim(of: result.status, mode), result)
    }

    private func run(_ words: [String]) async throws {
        try await HostCommandRunner().output(of: Command(words[0], Array(words.dropFirst())))
    }

    /// A used cluster that no file owns, in one of the two tables only.
    private func leaveClusterBehind(_ path: String) throws {
        let file = try FileDescriptor.open(FilePath(path), .readWrite)
        defer { try? file.close() }
        var boot = [UInt8](repeating: 0, count: 16)
        _ = try boot.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: 0, into: $0) }
        let sectorSize = Int64(boot[11]) | Int64(boot[12]) << 8
        let reserved = Int64(boot[14]) | Int64(boot[15]) << 8
        try file.writeAll(toAbsoluteOffset: sectorSize * reserved + 40, [0xFF, 0xFF, 0xFF, 0x0F])
    }
}
