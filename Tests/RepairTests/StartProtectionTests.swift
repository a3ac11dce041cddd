import Foundation
import Testing

@testable import HostTools
@testable import Repair

struct StartProtectionTests {
    private func block(_ target: String, format: String = "raw") throws -> DiskInventory {
        var disk = Sample.diskInventory(Sample.disk(target, path: "/dev/vg/\(target)", format: format))
        // There is no block device that every machine has: a status of one is made from another's.
        var status = try FileStatus(of: "/dev/null")
        status.kind = .blockDevice
        disk.status = status
        return disk
    }

    private func file(_ target: String, format: String) throws -> DiskInventory {
        var disk = Sample.diskInventory(Sample.disk(target, path: "/images/\(target)", format: format))
        disk.status = try FileStatus(of: "/etc/hostname")
        return disk
    }

    private func warnings(_ disks: [DiskInventory], _ hook: StartHook) -> [String] {
        var inventory = Sample.inventory(disks)
        inventory.startHook = hook
        return Sample.plan(inventory).warnings
    }

    @Test func `files are locked, raw ones too`() throws {
        #expect(try warnings([file("vda", format: "raw"), file("vdb", format: "qcow2")], .missing) == [])
    }

    @Test(arguments: ["raw", "qcow2"]) func `block devices are not`(format: String) throws {
        #expect(
            try warnings([file("vda", format: "raw"), block("vdb", format: format), block("vdc")], .missing) == [
                "vdb, vdc: nothing keeps the domain from being started during the repair, which would be noticed and the "
                    + "repair thrown away; libvirt's hook would refuse it: install /etc/libvirt/hooks/qemu.d/virt-fsck"
            ])
    }

    @Test func `a hook that libvirt has not seen is no protection`() throws {
        let warning = try #require(try warnings([block("vda")], .unseen(by: "virtqemud")).first)
        #expect(warning.contains("restart virtqemud once"))
    }

    @Test func `a hook that libvirt asks is one`() throws {
        #expect(try warnings([block("vda")], .active) == [])
    }

    @Test func `a file that can't be locked is named`() throws {
        var disk = try file("vda", format: "raw")
        disk.canBeLocked = false
        #expect(warnings([disk], .missing).first?.hasPrefix("vda: nothing keeps") == true)
    }

    @Test func `QEMU's hook says nothing of other hypervisors`() throws {
        var inventory = Sample.inventory([try block("vda")])
        inventory.description.type = "test"
        inventory.startHook = .missing
        #expect(Sample.plan(inventory).warnings == [])
    }

    @Test(.enabled(if: Files.isRoot, "needs root"))
    func `a hook counts when it was there before the daemon, and can be run`() throws {
        // This process stands for the daemon.
        let daemon = try #require(HostProcess(Files.processID))
        #expect(StartHook.state(of: "/bin/sh", before: daemon) == .active)
        let path = FileManager.default.temporaryDirectory.path + "/hook-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(StartHook.state(of: path, before: daemon) == .missing)
        try Data().write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        #expect(StartHook.state(of: path, before: daemon) == .missing)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        #expect(StartHook.state(of: path, before: daemon) == .unseen(by: daemon.name))
    }
}
