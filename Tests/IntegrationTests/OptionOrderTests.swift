import TestSupport
import Testing

/// Options before the verb, as the built program takes them: what was meant as a check or a look must not repair.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(40)))
struct OptionOrderTests {
    @Test func `a check with options before the verb leaves a damaged disk as it was`() async throws {
        try await Workshop.with { shop in
            try await shop.makeSimple()
            let before = try await shop.snapshot()
            for options in [["--no-start"], ["-v"], ["--json"], ["-vq", "--engine", TestHost.engines[0]]] {
                let run = try await VirtFsck.run(options + ["check", shop.name])
                #expect(run.exitStatus == 4, "\(run)")
                #expect(run.output.contains("repairable"), "\(run)")
                try #expect(await shop.snapshot() == before)
            }
            for options in [["--commit", "never"], ["--force-off"], ["-x"]] {
                let run = try await VirtFsck.run(options + ["check", shop.name])
                #expect(run.exitStatus == 16, "\(run)")
                try #expect(await shop.snapshot() == before)
            }
            let recovered = try await VirtFsck.run(["-v", "recover", shop.name])
            #expect(recovered.exitStatus == 0, "\(recovered)")
            for line in [
                ["chekc", shop.name], ["undo", shop.name], [shop.name, "check"], ["-v", "status", shop.name],
            ] {
                let run = try await VirtFsck.run(line)
                #expect(run.exitStatus == 16, "\(run)")
                #expect(run.output == "")
                try #expect(await shop.snapshot() == before)
            }
            // Two dashes make no domain of a verb.
            for line in [["--", "check", shop.name], ["-v", "--", "recover", shop.name]] {
                let run = try await VirtFsck.run([], ["--connect", PrivateLibvirt.shared.uri] + line)
                #expect(run.exitStatus == 16, "\(run)")
                try #expect(await shop.snapshot() == before)
            }
            #expect(try await shop.state() == "shut off")
        }
    }
}
