import Foundation
import TestSupport

/// What a host finds after a power cut, and what `virt-fsck recover` makes of it.
struct CutOutcome: Sendable {
    /// What the domain would be started from.
    var before: GuestView.Sight
    /// The same after the recovery.
    var after: GuestView.Sight
    /// Exit status and words of the recovery.
    var recovery: String
    /// Everything else that is wrong.
    var problems: [String] = []

    /// Whether the host was never without a whole disk, and everything is as if there had been no run.
    var isGood: Bool {
        [.original, .repaired].contains(before.state) && [.original, .repaired].contains(after.state)
            && recovery.hasPrefix("exit status 0\n") && problems.isEmpty
    }

    /// Lets a host come up on an image.
    ///
    /// - Parameter decision: about a repair that was on trial, where one is asked for.
    static func find(
        on image: String, of world: World, in folder: String, _ decision: TrialKill.Decision
    ) async throws -> CutOutcome {
        let patient = world.patient
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try decision.rawValue.write(toFile: "\(folder)/decision", atomically: true, encoding: .utf8)
        let result = try await world.run(
            on: image, results: folder,
            #"""
            definition=/etc/libvirt/qemu/$name.xml
            guest_view "$definition" "$results/before" 2>"$results/before.errors" || true
            libvirt
            status=0
            virt_fsck recover >"$results/words" 2>&1 || status=$?
            if grep -q "virt-fsck recover --keep $name" "$results/words"; then
              status=0
              virt_fsck recover "--$(cat "$results/decision")" "$name" >"$results/words" 2>&1 || status=$?
              touch "$results/decided"
            fi
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
        func sight(_ name: String) async throws -> GuestView.Sight {
            let errors = text("\(name).errors")
            guard errors.isEmpty else { return .init(state: .neither("it can't be started: \(errors)")) }
            return try await GuestView.sight(of: GuestView.files(in: "\(folder)/\(name)"), patient)
        }
        var outcome = CutOutcome(
            before: try await sight("before"), after: try await sight("after"),
            recovery: "exit status \(text("status"))\n\(text("words"))")
        let isDecided = FileManager.default.fileExists(atPath: "\(folder)/decided")
        if patient.isCounting {
            outcome.problems += outcome.lostWrites(
                isDiscarded: patient.guest == .panics || isDecided && decision == .discard)
        }
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

    /// What a guest wrote before the power failed, and has no longer though nobody gave it up.
    private func lostWrites(isDiscarded: Bool) -> [String] {
        switch after.state {
        case .original where before.state == .original || isDiscarded:
            after.numbers.allSatisfy { $0 == 0 } ? [] : ["the guest has written to its original disk: \(after.numbers)"]
        case before.state:
            after.numbers == before.numbers ? [] : ["what the guest wrote is lost"]
        default: ["nobody has said that the state is to change"]
        }
    }
}
