import Foundation
import TestSupport
import Testing

/// A host without bubblewrap.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct NoSandboxTests {
    /// Programs that run on a host where bwrap is missing.
    private let withoutBubblewrap = [
        "unshare", "--mount", "--propagation", "private", "sh", "-c", #"mount --bind /dev/null "$0" && exec "$@""#,
        Tool.path(of: "bwrap") ?? "",
    ]

    @Test(arguments: TestHost.engines)
    func `without bubblewrap a filesystem in a logical volume is repaired all the same`(_ engine: String) async throws {
        try await Workshop.with { shop in
            let mib = 1 << 20
            let disk = "\(shop.folder)/disk0.raw"
            try DiskSet.createSparse(disk, size: 16 * mib)
            let set = try await DiskSet.lvm(
                [disk], [Loops.Region(file: disk, offset: 0, size: 16 * mib)],
                "lvm_ vgcreate guest ${loops[0]}; create -L 8M -n root guest")
            let file = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: file)
            try await Filesystem.ext4.damage(file)
            try set.embed(file, in: set.volumes[0])
            try await shop.defineImages(of: set, .qcow2)
            let run = try await VirtFsck.run(
                withoutBubblewrap,
                [
                    "repair", "--no-start", "--json", "--allow", "no-sandbox", "--engine", engine, "--connect",
                    PrivateLibvirt.shared.uri, shop.name,
                ])
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.volume("guest/root")?.outcome == "repaired")
        }
    }

    @Test func `without bubblewrap the way out is named`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let run = try await VirtFsck.run(
                withoutBubblewrap, ["--no-start", "--connect", PrivateLibvirt.shared.uri, shop.name])
            #expect(run.exitStatus == 8, "\(run)")
            #expect(run.errorOutput.contains("bwrap: not found; install bubblewrap"))
            #expect(run.errorOutput.contains("--allow no-sandbox"))
        }
    }
}
