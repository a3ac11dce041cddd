import FoundationEssentials
import HostTools

/// Counts what a repair cost: reads the original and the overlay, in a process of its own behind the walls of a checker.
///
/// The original is read-only and lies beneath the overlay still, so that nothing is counted before it is known that something was
/// repaired.
struct LossMeter: Sendable {
    /// Why nothing was counted.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    let runner: any CommandRunner
    let sandbox: Sandbox
    /// Folder for device nodes.
    let folder: String
    /// This program, which calls itself; nil where its file is not known.
    let program: OwnProgram?

    /// One line of JSON.
    private static var outputLimit: Int { 1 << 16 }
    /// More files than any filesystem has; sums of such numbers don't overflow.
    private static var mostFiles: Int { 1 << 48 }

    /// Counts.
    ///
    /// - Parameters:
    ///   - type: libblkid's name of the filesystem.
    ///   - name: for the device nodes, which no other volume has.
    ///   - limit: how long it may take.
    /// - Returns: a failure for whatever goes wrong in counting: a run never ends for the want of a count.
    func count(
        of type: String, original: AttachedDevice, repaired: AttachedDevice, filedAs name: String, limit: Duration
    ) async -> Result<LossCount, Failure> {
        guard let program else { return .failure(Failure(description: "the program's own file is not there")) }
        do {
            let shown = try [("before", original), ("after", repaired)].map { state, device in
                let node = try DeviceNode.create(
                    at: "\(folder)/\(state)-\(name)", for: device.number, owner: Sandbox.userID, group: Sandbox.userID)
                return (node, Sandbox.Device(node: node.path, name: "\(state)-\(name)"))
            }
            defer { for (node, _) in shown { try? node.remove() } }
            let devices = shown.map(\.1)
            let arguments = [LossMeasurement.verb, type] + devices.map { sandbox.path(of: $0) }
            let command = sandbox.confine(
                program.command(arguments, in: sandbox, timeout: limit, outputLimit: Self.outputLimit), to: devices,
                needing: .program(program))
            let result = try await runner.run(command)
            let status = sandbox.status(of: result.status)
            guard result.isSuccess else {
                let words = result.complaint == result.status.description ? status.description : result.complaint
                return .failure(Failure(description: String(words.prefix(200))))
            }
            guard let count = try? JSONDecoder().decode(LossCount.self, from: Data(result.output.utf8)),
                Self.makesSense(count)
            else { return .failure(Failure(description: "the count makes no sense")) }
            return .success(count)
        } catch {
            return .failure(Failure(description: String(describing: error)))
        }
    }

    private static func makesSense(_ count: LossCount) -> Bool {
        let numbers = [
            count.before, count.after, count.reconnected, count.moved, count.unnamed, count.disputed,
            count.altered, count.doubtful,
        ]
        return numbers.allSatisfy { (0...mostFiles).contains($0) }
            && count.after + count.reconnected + count.moved + count.unnamed <= count.before
            && count.altered + count.doubtful <= count.after && count.disputed <= count.reconnected
    }
}
