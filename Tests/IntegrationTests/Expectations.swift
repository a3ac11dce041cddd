import Foundation
import Glibc
import TestSupport
import Testing

/// Repairs the damaged volume with the bare checker, and expects to find the same after the run; what the set has is
/// then the expected content.
func expectSameRepair(
    _ kind: Filesystem, _ volume: DiskSet.Volume, before: DiskSet, after: DiskSet, in shop: Workshop
) async throws {
    let bare = "\(shop.folder)/bare"
    let repaired = "\(shop.folder)/repaired"
    try before.extract(volume, to: bare)
    try after.extract(volume, to: repaired)
    try #expect(await !kind.isSound(bare))
    try await kind.repairBare(bare, clockOf: repaired)
    try #expect(await kind.isSound(repaired))
    let difference = try await Tool.run("cmp", ["-l", bare, repaired])
    #expect(difference.exitStatus == 0, "\(difference.output.prefix(400))")
    try before.embed(bare, in: volume)
}

/// Expects two sets of raw disks to be the same, byte for byte.
func expectSame(_ expected: DiskSet, _ after: DiskSet, in shop: Workshop) async throws {
    for (one, other) in zip(expected.paths, after.paths) {
        let difference = try await Tool.run("cmp", [one, other])
        #expect(difference.exitStatus == 0, "\(difference.output)")
    }
}

/// Runs virt-fsck on the workshop's domain as a person would, and expects it to refuse with one clear line.
///
/// - Parameters:
///   - words: that must be in that line.
///   - arguments: the verb and its options; what is asked for is the worst.
func expectRefusal(
    _ words: String..., arguments: [String] = ["repair"], in shop: Workshop,
    sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    let before = try await shop.snapshot()
    let run = try await VirtFsck.run(arguments + ["--quiet", shop.name])
    expectOneLine(run, words, sourceLocation: sourceLocation)
    try #expect(await shop.snapshot() == before, sourceLocation: sourceLocation)
}

/// Expects an operational error, said in one line on standard error.
func expectOneLine(_ run: VirtFsck.Run, _ words: [String], sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(run.exitStatus == 8, "\(run)", sourceLocation: sourceLocation)
    #expect(run.output == "", sourceLocation: sourceLocation)
    #expect(run.errorOutput.split(separator: "\n").count == 1, "\(run)", sourceLocation: sourceLocation)
    for word in words {
        #expect(run.errorOutput.contains(word), "\(word) is not in: \(run)", sourceLocation: sourceLocation)
    }
}

/// Expects libvirt not to start a domain, for this reason.
func expectNoStart(
    of domain: String, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    let start = try await Tool.run("virsh", ["--quiet", "--connect", PrivateLibvirt.shared.uri, "start", domain])
    #expect(start.exitStatus != 0, sourceLocation: sourceLocation)
    var reason = start.errorOutput
    // Where QEMU is gone before libvirt has spoken to it, libvirt may say only that; on a slow machine it does.
    if reason.contains("monitor socket") { reason += PrivateLibvirt.shared.complaint(ofDomain: domain) }
    for word in words {
        #expect(reason.contains(word), "\(reason)", sourceLocation: sourceLocation)
    }
}

/// `virt-fsck repair --no-start --json` on a domain of the private libvirt, for ``HeldRun``.
func arguments(_ domain: String, _ more: String...) -> [String] {
    ["repair", "--no-start", "--json", "--connect", PrivateLibvirt.shared.uri] + more + [domain]
}

extension HeldRun {
    /// An e2fsck that repairs as much as a test wants: on the overlay it writes, on a read-only view it finds nothing.
    ///
    /// - Parameter size: in MiB, with an M behind it.
    static func repairing(_ size: String) -> String {
        """
        if "-y" not in sys.argv: sys.exit(0)
        hold()
        size = int("\(size)".rstrip("M")) << 20
        content = memoryview((b"repaired\\n" * (size // 9 + 1))[:size])
        try:
            with open(sys.argv[-1], "r+b", buffering=0) as device:
                while content: content = content[device.write(content):]
        except OSError:
            sys.exit(8)
        sys.exit(1)
        """
    }
}

extension Workshop {
    /// Whether the domain's XML names its overlay.
    func isOnOverlay() async throws -> Bool { try await xml().contains(".virt-fsck-") }

    /// A domain with one disk that is one filesystem.
    ///
    /// - Returns: the image, and the filesystem in a file of its own.
    @discardableResult
    func makeSimple(
        _ kind: Filesystem = .ext4, _ storage: Storage = .qcow2, isDamaged: Bool = true, body: String = "",
        label: String = "data"
    ) async throws -> (image: String, filesystem: String) {
        let filesystem = "\(folder)/fs"
        try await kind.make(at: filesystem, label: label)
        if isDamaged { try await kind.damage(filesystem) }
        let image = "\(disks)/disk.\(storage == .raw ? "img" : "qcow2")"
        try await storage.make(image, from: filesystem, over: nil)
        try await define([Self.disk(image, format: storage.format, body: body)])
        return (image, filesystem)
    }
}

extension PrivateLibvirt {
    /// One for a test alone, with a workshop; it ends with the test.
    static func withOne(_ body: (PrivateLibvirt, Workshop) async throws -> Void) async throws {
        try await Workshop.with { shop in
            let libvirt = PrivateLibvirt(folder: "\(shop.folder)/l")
            defer { libvirt.end() }
            try await body(libvirt, shop)
        }
    }
}
