import Foundation
import TestSupport

/// What a host finds after a power cut, and what `virt-fsck recover` makes of it.
struct CutOutcome: Sendable {
    /// What the domain would be started from.
    var before: Patient.State
    /// The same after the recovery.
    var after: Patient.State
    /// Exit status and words of the recovery.
    var recovery: String
    /// Everything else that is wrong.
    var problems: [String] = []

    /// Whether the host was never without a whole disk, and everything is as if there had been no run.
    var isGood: Bool {
        [.original, .repaired].contains(before) && [.original, .repaired].contains(after)
            && recovery.hasPrefix("exit status 0\n") && problems.isEmpty
    }

    /// Lets a host come up on an image.
    static func find(on image: String, of world: World, in folder: String) async throws -> CutOutcome {
        let patient = world.patient
        let result = try await world.run(
            on: image, results: folder,
            #"""
            definition=/etc/libvirt/qemu/$name.xml
            guest_view "$definition" "$results/before" 2>"$results/before.errors" || true
            libvirt
            status=0
            virt_fsck recover >"$results/words" 2>&1 || status=$?
            echo "$status" >"$results/status"
            guest_view "$definition" "$results/after" 2>"$results/after.errors" || true
            cp "$definition" "$results/definition"
            (cd "$world" && find disks virt-fsck -type f | sort) >"$results/files"
            find /run/virt-fsck -mindepth 1 >>"$results/files"
            """#)
        func text(_ name: String) -> String {
            ((try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)) ?? "")
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        func state(_ name: String) async throws -> Patient.State {
            let errors = text("\(name).errors")
            guard errors.isEmpty else { return .neither("it can't be started: \(errors)") }
            return try await patient.state(of: GuestView.files(in: "\(folder)/\(name)"))
        }
        var outcome = CutOutcome(
            before: try await state("before"), after: try await state("after"),
            recovery: "exit status \(text("status"))\n\(text("words"))")
        if result.exitStatus != 0 { outcome.problems.append("the host did not come up: \(result.errorOutput)") }
        let definition = try? String(contentsOfFile: "\(folder)/definition", encoding: .utf8)
        if definition != patient.definition.text {
            outcome.problems.append("the domain is now \(definition ?? "gone")")
        }
        let disks = patient.images.map { "disks/\($0.split(separator: "/").last ?? "")" }
        if text("files") != disks.sorted().joined(separator: "\n") {
            outcome.problems.append("files: \(text("files"))")
        }
        return outcome
    }
}
