import Foundation
import Glibc
import TestSupport
import Testing

extension SystemTests {
    @Suite struct Udev {
        @Test(arguments: Engine.allCases)
        func `udev and LVM activate nothing of the guest's, during the repair and after it`(
            engine: Engine
        ) async throws {
            try await prepared { domain, disk, hostImage in
                let before = HostSnapshot.take()
                try await VM.duringRepair(of: domain, by: engine) { held in
                    try await expectGuestUntouched(hostImage, since: before)
                    held.goOn()
                    let run = try await held.run.value
                    #expect(run.exitStatus == 1, "\(run)")
                }
                try await Tool.output(of: "udevadm", ["settle"])
                #expect(HostSnapshot.take() == before)
            }
        }

        @Test(arguments: Engine.allCases)
        func `udev and LVM activate nothing of the guest's when virt-fsck is killed`(engine: Engine) async throws {
            try await prepared { domain, disk, hostImage in
                let content = try disk.content()
                let before = HostSnapshot.take()
                try await VM.duringRepair(of: domain, by: engine) { held in
                    let tool = try #require(VirtFsck.program)
                    for process in HostSnapshot.processes where process.program == tool { kill(process.id, SIGKILL) }
                    #expect(try await held.run.value.exitStatus == 128 + SIGKILL)
                    try await expectGuestUntouched(hostImage, since: before)
                    try await cleanUp(since: before)
                }
                try await Tool.output(of: "udevadm", ["settle"])
                #expect(HostSnapshot.take() == before)
                #expect(try disk.content() == content)
            }
        }

        /// A recipe's disk in a domain, and an image with a group that is the host's own.
        private func prepared(_ body: (String, Disk, Disk) async throws -> Void) async throws {
            let disk = try await RecipeDisk.shared().raw.copy("udev.qcow2", format: "qcow2")
            let hostImage = try Disk.make("host.pv", size: 16 << 20)
            try await LVMLayout.make(
                [hostImage.path],
                [["vgcreate", "HostGroup", "@0"], LVMLayout.lvcreate + ["-L", "4M", "-n", "data", "HostGroup"]])
            try await VM.withDomain([disk]) { try await body($0, disk, hostImage) }
            disk.remove()
            hostImage.remove()
        }

        /// Wakes udev for everything that is attached, sees it activate a group of the host's, and nothing else.
        private func expectGuestUntouched(_ hostImage: Disk, since before: HostSnapshot) async throws {
            let attached = HostSnapshot.take()
            let devices =
                attached.nbd.subtracting(before.nbd)
                + attached.loops.subtracting(before.loops).map { String($0.prefix { $0 != " " }) }
            #expect(devices.count == 2)
            for device in devices {
                let lock = try await Tool.run("flock", ["--shared", "--nonblock", "/dev/\(device)", "true"])
                #expect(lock.exitStatus == 1, "\(device) is not locked")
            }
            for action in ["add", "change"] {
                try await Tool.output(of: "udevadm", ["trigger", "--action=\(action)", "--subsystem-match=block"])
            }
            let group = try await HostGroup.appear(hostImage, name: "HostGroup", volume: "data")
            let mapped = HostSnapshot.take().mapped.subtracting(before.mapped).subtracting([group.mapped])
            #expect(!mapped.isEmpty)
            #expect(mapped.allSatisfy { $0.hasPrefix("virt-fsck-") }, "\(mapped)")
            #expect(!HostSnapshot.exists("/dev/VolGroup00"))
            let groups = try await Tool.output(of: "vgs", ["--noheadings", "-o", "vg_name"])
            #expect(groups.split(whereSeparator: \.isWhitespace) == ["HostGroup"])
            try await group.disappear()
        }

        /// Takes down what a killed run left: first who holds, then what is held.
        private func cleanUp(since before: HostSnapshot) async throws {
            let left = HostSnapshot.take()
            func end(_ programs: String..., with signal: Int32) async throws {
                let processes = left.processes.subtracting(before.processes).filter { process in
                    programs.contains { process.contains($0) }
                }
                for process in processes {
                    if let id = Int32(process.prefix { $0 != " " }) { kill(id, signal) }
                }
                #expect(await eventually { HostSnapshot.take().processes.isDisjoint(with: processes) })
            }
            try await end("bwrap", "/bin/sh", with: SIGKILL)
            for name in left.mapped.subtracting(before.mapped) {
                try await Tool.output(of: "dmsetup", ["remove", "--retry", name])
            }
            try await end("qemu-nbd", "sleep infinity", with: SIGINT)
            #expect(await eventually { HostSnapshot.take().loops == before.loops })
            try await end("qemu-storage-daemon", with: SIGTERM)
            for mount in HostSnapshot.take().mounts {
                try await Tool.output(of: "umount", ["--lazy", String(mount.split(separator: " ")[1])])
            }
            for file in left.files.subtracting(before.files) { try FileManager.default.removeItem(atPath: file) }
        }
    }

    @Suite struct HostWithTheSameGroup {
        @Test func `a guest is repaired while the host has a clone of its volume group active`() async throws {
            let recipe = try await RecipeDisk.shared()
            let disk = try await recipe.raw.copy("twin.qcow2", format: "qcow2")
            let clone = try Disk.make("clone.pv", size: RecipeDisk.partition2.count)
            try clone.write(recipe.raw.content().subdata(in: RecipeDisk.partition2), at: 0)
            let cloned = try clone.content()
            try await VM.withDomain([disk]) { domain in
                let group = try await HostGroup.appear(clone, name: "VolGroup00", volume: "LogVol00")
                #expect(await eventually { HostSnapshot.take().mapped.contains("VolGroup00-LogVol01") })
                try await Tool.output(of: "udevadm", ["settle"])
                let before = HostSnapshot.take()
                let table = try await Tool.output(of: "dmsetup", ["table"])
                let run = try await VM.repair(domain, engine: .nbd)
                #expect(run.exitStatus == 1, "\(run)")
                #expect(run.volume("VolGroup00/LogVol00")?.outcome == "repaired")
                try await Tool.output(of: "udevadm", ["settle"])
                #expect(HostSnapshot.take() == before)
                #expect(try await Tool.output(of: "dmsetup", ["table"]) == table)
                #expect(try clone.content() == cloned)
                #expect(try recipe.isRepaired(try await disk.guestView()))
                try await group.disappear()
            }
        }
    }
}
