import Foundation
import TestSupport
import Testing

/// Everything that needs a kernel with nbd and device-mapper, a running udev, and a host that may be broken: a VM.
///
/// `Tests/SystemTests/VM/run-tests` boots it. One after the other: nbd devices, udev and LVM are the whole host's.
@Suite(
    .serialized, .timeLimit(.minutes(40)),
    .enabled(if: ProcessInfo.processInfo.environment["RUN_IN_VM"] != nil, "runs in the VM: make test"))
enum SystemTests {}

/// How a test has the disks attached.
enum Engine: String, CaseIterable, CustomTestStringConvertible {
    case nbd
    case fuse

    var testDescription: String { rawValue }
}

/// The VM as a host of virtual machines.
enum VM {
    /// The filesystem for disk images.
    static let scratch = "/scratch"

    /// libvirtd, started once.
    private static let libvirt = Task {
        for folder in ["/var/log/libvirt", "/var/lib/libvirt", "/var/cache/libvirt"] {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        for module in ["loop", "dm-mod", "fuse"] { try await Tool.output(of: "modprobe", [module]) }
        for daemon in ["virtlogd", "libvirtd"] { try await Tool.output(of: daemon, ["-d"]) }
    }

    /// Defines a domain with these disks, as vda, vdb, … in this order, for the time of `body`.
    static func withDomain<Value>(
        _ disks: [Disk], named name: String = "guest", _ body: (String) async throws -> Value
    ) async throws -> Value {
        try await libvirt.value
        let elements = zip(disks, "abcdefgh").map { disk, letter in
            """
            <disk type='file' device='disk'><driver name='qemu' type='\(disk.format)'/><source file='\(disk.path)'/>\
            <blockio logical_block_size='\(disk.sectorSize)'/><target dev='vd\(letter)' bus='virtio'/></disk>
            """
        }
        let file = "\(scratch)/\(name).xml"
        try """
        <domain type='qemu'><name>\(name)</name><memory unit='MiB'>64</memory><os><type>hvm</type></os>
        <devices>\(elements.joined())</devices></domain>
        """.write(toFile: file, atomically: true, encoding: .utf8)
        try await Tool.output(of: "virsh", ["--quiet", "define", file])
        do {
            let value = try await body(name)
            try await Tool.output(of: "virsh", ["--quiet", "undefine", name])
            return value
        } catch {
            _ = try await Tool.run("virsh", ["--quiet", "undefine", name])
            throw error
        }
    }

    /// `virt-fsck repair --no-start` on a domain.
    static func repair(_ domain: String, engine: Engine) async throws -> VirtFsck.Run {
        try await virtFsck("repair", domain, "--no-start", "--json", "--engine", engine.rawValue)
    }

    /// The same, with a checker that waits; `body` is called when it does.
    static func duringRepair<Value: Sendable>(
        of domain: String, by engine: Engine, _ body: (HeldRun) async throws -> Value
    ) async throws -> Value {
        let arguments = ["repair", domain, "--no-start", "--json", "--engine", engine.rawValue]
        return try await HeldRun.during(arguments, on: domain, in: scratch, body)
    }

    /// Any run of virt-fsck.
    static func virtFsck(_ arguments: String...) async throws -> VirtFsck.Run {
        try await VirtFsck.run(["env"], arguments)
    }

    /// Loads the nbd module anew.
    static func reloadNBD(_ parameters: String...) async throws {
        try await Tool.output(of: "modprobe", ["-r", "nbd"])
        try await Tool.output(of: "modprobe", ["nbd"] + parameters)
    }
}

/// A preparation that did not work.
struct TestProblem: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
