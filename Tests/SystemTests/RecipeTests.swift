import Foundation
import TestSupport
import Testing

extension SystemTests {
    @Suite struct Recipe {
        @Test(arguments: Engine.allCases)
        func `the manual recipe's own layout is repaired as the bare checker does it, and nothing is left`(
            engine: Engine
        ) async throws {
            let recipe = try await RecipeDisk.shared()
            let disk = try await recipe.raw.copy("recipe.qcow2", format: "qcow2")
            if engine == .nbd { _ = try await Tool.run("modprobe", ["-r", "nbd"]) }
            try await VM.withDomain([disk]) { domain in
                let before = HostSnapshot.take()
                let run = try await VM.repair(domain, engine: engine)
                try #require(run.exitStatus == 1, "\(run)")
                #expect(HostSnapshot.take() == before)
                #expect(run.domain?.outcome == "repaired")
                #expect(run.domain?.engine == engine.rawValue)
                #expect(run.domain?.committed == true)
                #expect(run.volume("vda1")?.outcome == "clean")
                #expect(run.volume("VolGroup00/LogVol00")?.outcome == "repaired")
                #expect(run.volume("VolGroup00/LogVol01")?.outcome == "skipped")
                #expect(try recipe.isRepaired(try await disk.guestView()))
                let stages = (run.domain?.seconds ?? [:]).sorted { $0.key < $1.key }
                print("recipe, engine \(engine.rawValue): \(run.seconds) s,", stages.map { "\($0.key) \($0.value)" })
            }
            if engine == .nbd { try await expectUsable("/dev/nbd0", disk) }
        }

        @Test func `a repaired disk is clean afterwards, and stays bit for bit what it is`() async throws {
            let recipe = try await RecipeDisk.shared()
            let disk = try await recipe.raw.copy("clean.raw", format: "raw")
            try disk.write(recipe.filesystem.repaired, at: RecipeDisk.root.lowerBound)
            let content = try disk.content()
            try await VM.withDomain([disk]) { domain in
                let run = try await VM.virtFsck("repair", domain, "--no-start", "-v")
                #expect(run.exitStatus == 0, "\(run)")
                #expect(run.output.contains("engine: nbd"))
                #expect(try disk.content() == content)
                print("clean, -v: \(run.seconds) s\n\(run.output)")
            }
        }

        /// Somebody can connect an nbd device, and sees the content.
        private func expectUsable(_ device: String, _ disk: Disk) async throws {
            try await Tool.output(of: "qemu-nbd", ["-f", disk.format, "-r", "-c", device, disk.path])
            let sizeFile = "/sys/block/\(device.dropFirst(5))/size"
            #expect(await eventually { HostSnapshot.text(sizeFile) == "131072" })
            try await Tool.output(of: "qemu-nbd", ["-d", device])
            #expect(await eventually { HostSnapshot.text(sizeFile) == "0" })
        }
    }
}
