import Foundation
import TestSupport

/// What a killed run left, and what became of it.
struct KillOutcome: Sendable {
    /// What the guest would have seen on its disks after the kill.
    var before: Patient.State
    /// After the recovery.
    var after: Patient.State
    /// Everything that is wrong beside them.
    var problems: [String]

    /// Whether the disks were whole all the time, and nothing is left.
    var isGood: Bool {
        [.original, .repaired].contains(before) && [.original, .repaired].contains(after) && problems.isEmpty
    }

    /// Has a run killed, and recovered.
    static func find(
        _ kill: Kill, on patient: Patient, _ engine: String, _ obstacle: Obstacle
    ) async throws -> KillOutcome {
        let shop = patient.shop
        try await patient.reset()
        let log = "\(shop.folder)/killed-at"
        try? FileManager.default.removeItem(atPath: log)
        let run = try await obstacle.during(patient) {
            try await patient.repair(engine, environment: KillSwitch.environment(kill.moment, log: log))
        }
        var problems: [String] = []
        // One that was quicker than expected had ended before the moment came.
        if ![137, obstacle == .none ? 1 : 8].contains(run.exitStatus) {
            problems.append("the run ended with \(run.exitStatus): \(run.errorOutput)")
        }
        if kill.victims == .everything { HostState.killAll(ofRuns: HostState.runs(onDomain: shop.name)) }
        let before = try await GuestView.take(of: patient)
        if kill.meanwhile != .nothing, await start(shop.name) {
            if kill.meanwhile == .startAndRecover {
                // It may be too early for it: there is the other one below.
                _ = try await patient.virtFsck(["recover", shop.name])
            }
            try await PrivateLibvirt.shared.virsh("destroy", shop.name)
        }
        if case .recoverAgain(let moment) = kill.way {
            _ = try await patient.virtFsck(["recover", shop.name], KillSwitch.environment(moment))
            let between = try await GuestView.take(of: patient)
            if case .neither = between { problems.append("after the killed recovery: \(between)") }
        }
        if case .repair = kill.way {
            let repair = try await patient.repair(engine)
            if ![0, 1].contains(repair.exitStatus) {
                problems.append("the next repair: \(repair.exitStatus): \(repair.output)\(repair.errorOutput)")
            }
        } else {
            let recovery = try await patient.virtFsck(["recover", shop.name])
            if recovery.exitStatus != 0 {
                problems.append("recover: \(recovery.exitStatus): \(recovery.output)\(recovery.errorOutput)")
            }
        }
        let after = try await GuestView.take(of: patient)
        if case .repair = kill.way, after != .repaired { problems.append("the next repair left the damage") }
        try await problems += patient.changes()
        try await problems += patient.leftovers()
        if !problems.isEmpty {
            let calls = (try? String(contentsOfFile: log, encoding: .utf8))?.split(separator: "\n").suffix(5) ?? []
            problems.append("its last calls: \(calls.joined(separator: "; "))")
        }
        HostState.removeLogs(ofDomain: shop.name)
        return KillOutcome(before: before, after: after, problems: problems)
    }

    private static func start(_ domain: String) async -> Bool {
        (try? await PrivateLibvirt.shared.virsh("start", domain)) != nil
    }
}
