import Foundation
import TestSupport

/// What became of a trial that was killed.
struct TrialKillOutcome: Sendable, CustomStringConvertible {
    /// What is on the disks in the end.
    var end: Patient.State
    /// Everything that is wrong.
    var problems: [String]

    var description: String { "\(end)\n" + problems.joined(separator: "\n") }

    /// Has a trial killed, and recovered.
    ///
    /// - Parameter endings: exit statuses of the run where nobody kills it.
    static func find(
        _ kill: TrialKill, on patient: Patient, _ engine: String, endings: Set<Int32>
    ) async throws -> TrialKillOutcome {
        let shop = patient.shop
        try await patient.reset()
        let log = "\(shop.folder)/killed-at"
        try? FileManager.default.removeItem(atPath: log)
        var watch = TrialWatch(patient)
        var startedByUs = false

        let isRunKilled = kill.target != .recovery
        let run = try await patient.afterBoot(
            engine, environment: isRunKilled ? KillSwitch.environment(kill.moment, log: log) : [:])
        if !endings.union([137]).contains(run.exitStatus) {
            watch.note("the run ended with \(run.exitStatus): \(run.output)\(run.errorOutput)")
        }
        if kill.victims == .everything { HostState.killAll(ofRuns: HostState.runs(onDomain: shop.name)) }
        _ = try await watch.look("after the run")
        switch kill.meanwhile {
        case .nothing: break
        case .stop: try await watch.stop()
        case .start, .startAndStop:
            try await watch.start()
            startedByUs = try await watch.isActive()
            if kill.meanwhile == .startAndStop { try await watch.stop() }
        }

        let recovery: KillSwitch.Moment? =
            switch kill.target {
            case .run: nil
            case .recovery: kill.moment
            case .both(let moment): moment
            }
        if let recovery {
            // Only a guest that is off can be parted from what is thrown away.
            if kill.decision == .discard { try await watch.stop() }
            _ = try await patient.virtFsck(
                ["recover", "--\(kill.decision)", shop.name], KillSwitch.environment(recovery, log: log))
            if kill.victims == .everything { HostState.killAll(ofRuns: HostState.runs(onDomain: shop.name)) }
            _ = try await watch.look("after the killed recovery")
        }

        let isDecided = try await settle(kill.decision, patient, &watch)
        if !isDecided, try await watch.isActive(), try await shop.state() != "running", !run.isKilled {
            watch.note("the domain is left \(try await shop.state())")
        }
        try await watch.stop()
        let end = try await watch.look("in the end")
        // A guest that panics takes the repair with it, as long as nobody else has started it.
        let isFailed = patient.guest == .panics && !startedByUs
        watch.judge(end, isDiscarded: kill.decision == .discard && (isDecided || recovery != nil) || isFailed)
        var problems = watch.problems
        try await problems += patient.changes()
        try await problems += patient.leftovers()
        if !problems.isEmpty {
            let calls = (try? String(contentsOfFile: log, encoding: .utf8))?.split(separator: "\n").suffix(8) ?? []
            problems.append("its last calls: \(calls.joined(separator: "; "))")
            problems.append("the run: \(run.exitStatus): \(run.output)\(run.errorOutput)")
        }
        HostState.removeLogs(ofDomain: shop.name)
        return TrialKillOutcome(end: end.state, problems: problems)
    }

    /// Recovers the run, with the decision where one is asked for: until then nothing may be thrown away.
    ///
    /// - Returns: whether it was asked for.
    private static func settle(
        _ decision: TrialKill.Decision, _ patient: Patient, _ watch: inout TrialWatch
    ) async throws -> Bool {
        let name = patient.shop.name
        let before = try await watch.look("before the recovery")
        let recovery = try await patient.virtFsck(["recover", name])
        guard recovery.exitStatus != 0 else { return false }
        func words(_ result: ToolResult) -> String { "\(result.exitStatus): \(result.output)\(result.errorOutput)" }
        guard recovery.exitStatus == 8, recovery.errorOutput.contains("virt-fsck recover --keep \(name)"),
            recovery.errorOutput.contains("virt-fsck recover --discard \(name)")
        else {
            watch.note("recover: \(words(recovery))")
            return false
        }
        let undecided = try await watch.look("while nothing is decided")
        if undecided.state != before.state || undecided.state != .repaired {
            watch.note("before anybody has decided \(before) became \(undecided)")
        }
        if decision == .discard, try await watch.isActive() {
            let refused = try await patient.virtFsck(["recover", "--discard", name])
            if refused.exitStatus != 8 || !refused.errorOutput.contains("shut it down first") {
                watch.note("recover --discard of a domain that runs: \(words(refused))")
            }
            try await watch.stop()
        }
        let end = try await patient.virtFsck(["recover", "--\(decision)", name])
        if end.exitStatus != 0 { watch.note("recover --\(decision): \(words(end))") }
        return true
    }
}

extension ToolResult {
    fileprivate var isKilled: Bool { exitStatus == 137 }
}
