import Foundation
import TestSupport
import Testing

/// A repaired disk is whose it was, whatever libvirt did to it meanwhile.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct OwnershipTests {
    /// Owner, mode, and every extended attribute but libvirt's own notes.
    private func attributes(_ path: String) async throws -> String {
        let script = """
            import os, sys
            path = sys.argv[1]
            status = os.stat(path)
            print(status.st_uid, status.st_gid, oct(status.st_mode))
            for name in sorted(os.listxattr(path)):
                if not name.startswith("trusted.libvirt."):
                    print(name, os.getxattr(path, name).hex())
            """
        return try await Tool.output(of: "python3", ["-c", script, path])
    }

    /// An owner of its own, an attribute of a user's, and an ACL as the kernel keeps it (linux/posix_acl_xattr.h): the owner rw,
    /// user 4321 rw, the group r, mask rw, others nothing.
    private func adorn(_ path: String) async throws {
        let script = """
            import os, struct, sys
            path = sys.argv[1]
            os.chown(path, 1234, 567)
            os.chmod(path, 0o640)
            os.setxattr(path, "user.note", b"mine")
            entries = [(1, 6, -1), (2, 6, 4321), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
            acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
            os.setxattr(path, "system.posix_acl_access", acl)
            """
        try await Tool.output(of: "python3", ["-c", script, path])
    }

    @Test(arguments: [Storage.raw, .qcow2])
    func `a disk is whose it was after starts that were refused while it was checked and merged`(
        _ storage: Storage
    ) async throws {
        try await Workshop.with { shop in
            let raw = "\(shop.folder)/fs"
            try await Filesystem.ext4.make(at: raw, size: 256 << 20)
            let image = "\(shop.disks)/disk.\(storage.format)"
            try await storage.make(image, from: raw, over: nil)
            try await adorn(image)
            let before = try await attributes(image)
            #expect(before.contains("user.note") && before.contains("system.posix_acl_access"))
            try await shop.define([Workshop.disk(image, format: storage.format)])
            let checker = HeldRun.repairing("200M")
            try await HeldRun.during(
                arguments(shop.name), on: shop.name, in: shop.folder, checker: checker, mergingInto: image
            ) { held in
                try await expectNoStart(of: shop.name, "lock")
                try await held.duringMerge {
                    try #expect(await shop.isOnOverlay())
                    try await expectNoStart(of: shop.name, "lock")
                    // What libvirt leaves behind depends on its version: this is the worst.
                    try await Tool.output(of: "chown", ["64055:64055", image])
                    try await Tool.output(of: "chmod", ["0600", image])
                }
                let run = try await held.run.value
                #expect(run.exitStatus == 1, "\(run)")
            }
            try #expect(await attributes(image) == before)
        }
    }
}
