import Foundation
import TestSupport
import Testing

extension SystemTests {
    @Suite struct Engines {
        @Test func `another user's nbd device is not touched`() async throws {
            let recipe = try await RecipeDisk.shared()
            let disk = try await recipe.raw.copy("beside.qcow2", format: "qcow2")
            try await withOtherUser { other in
                try await VM.withDomain([disk]) { domain in
                    let before = HostSnapshot.take()
                    #expect(before.nbd == ["nbd0"])
                    let run = try await VM.repair(domain, engine: .nbd)
                    #expect(run.exitStatus == 1, "\(run)")
                    #expect(HostSnapshot.take() == before)
                    #expect(try await Tool.output(of: "cmp", ["/dev/nbd0", other.path]) == "")
                }
            }
        }

        @Test func `too few nbd devices are an error that says so, and leave nothing behind`() async throws {
            let disk = try await RecipeDisk.shared().raw.copy("busy.qcow2", format: "qcow2")
            let content = try disk.content()
            try await VM.reloadNBD("nbds_max=2")
            try await withOtherUser { _ in
                try await VM.withDomain([disk]) { domain in
                    let before = HostSnapshot.take()
                    let run = try await VM.repair(domain, engine: .nbd)
                    #expect(run.exitStatus == 8)
                    #expect(run.domain?.message.contains("every nbd device is in use") == true, "\(run)")
                    #expect(run.domain?.message.contains("--engine fuse") == true)
                    #expect(HostSnapshot.take() == before)
                    #expect(try disk.content() == content)
                }
            }
            try await VM.reloadNBD()
        }

        @Test func `without the nbd module, auto takes fuse and says why; nbd is refused`() async throws {
            let disk = try await RecipeDisk.shared().raw.copy("module.qcow2", format: "qcow2")
            _ = try await Tool.run("modprobe", ["-r", "nbd"])
            let modules = "/lib/modules/\(HostSnapshot.text("/proc/sys/kernel/osrelease"))"
            try await VM.withDomain([disk]) { domain in
                try await Tool.output(of: "mount", ["-t", "tmpfs", "none", modules])
                let auto = try await VM.virtFsck("repair", domain, "--no-start", "--json")
                let nbd = try await VM.virtFsck("repair", domain, "--no-start", "--json", "--engine", "nbd")
                try await Tool.output(of: "umount", [modules])
                #expect(auto.exitStatus == 1, "\(auto)")
                #expect(auto.domain?.engine == "fuse")
                #expect(auto.output.contains("no nbd here: the kernel has no module nbd"))
                #expect(nbd.exitStatus == 8)
                #expect(nbd.domain?.outcome == "refused")
                #expect(nbd.domain?.message.contains("the kernel has no module nbd") == true)
            }
        }

        /// Somebody's image at /dev/nbd0 for the time of `body`.
        private func withOtherUser(_ body: (Disk) async throws -> Void) async throws {
            _ = try await Tool.run("modprobe", ["nbd"])
            let other = try Disk.make("other.raw", size: 16 << 20)
            try other.write(Data(repeating: 0x5A, count: 1 << 20), at: 3 << 20)
            try await Tool.output(of: "qemu-nbd", ["-f", "raw", "-c", "/dev/nbd0", other.path])
            #expect(await eventually { HostSnapshot.text("/sys/block/nbd0/size") == "32768" })
            let outcome: Result<Void, any Error>
            do { outcome = .success(try await body(other)) } catch { outcome = .failure(error) }
            try await Tool.output(of: "qemu-nbd", ["-d", "/dev/nbd0"])
            #expect(await eventually { HostSnapshot.take().nbd.isEmpty })
            other.remove()
            try outcome.get()
        }
    }
}
