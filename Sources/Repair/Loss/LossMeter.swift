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
    ///   - filed: gives the device nodes their names.
    ///   - limit: how long it may take.
    /// - Throws: ``Failure`` for whatever goes wrong in counting; `CancellationError`.
    func count(
        of type: String, original: AttachedDevice, repaired: AttachedDevice, filedAs filed: FiledVolume, limit: Duration
    ) async throws -> LossCount {
        guard let program else { throw Failure(description: "the program's own file is not there") }
        let names = ["before-\(filed.name)", "after-\(filed.name)"]
        var nodes: [DeviceNode] = []
        defer { for node in nodes { try? node.remove() } }
        for (name, device) in zip(names, [original, repaired]) {
            nodes.append(
                try DeviceNode.create(
                    at: "\(folder)/\(name)", for: device.number, owner: Sandbox.userID, group: Sandbox.userID))
        }
        let devices = zip(nodes, names).map { Sandbox.Device(node: $0.path, name: $1) }
        let command = sandbox.confine(
            Command(
                sandbox.path(of: program), [LossMeasurement.verb, type] + devices.map { sandbox.path(of: $0) },
                timeout: limit, outputLimit: Self.outputLimit),
            to: devices, needing: .program(program))
        let result = try await runner.run(command)
        try Task.checkCancellation()
        guard result.isSuccess else {
            throw Failure(description: String(result.complaint.prefix(200)))
        }
        guard let count = try? JSONDecoder().decode(LossCount.self, from: Data(result.output.utf8)), Self.makesSense(count)
        else { throw Failure(description: "the count makes no sense") }
        return count
    }

    private static func makesSense(_ count: LossCount) -> Bool {
        let numbers = [count.before, count.after, count.reconnected, count.moved, count.altered, count.doubtful]
        return numbers.allSatisfy { (0...mostFiles).contains($0) }
            && count.after + count.reconnected + count.moved <= count.before && count.altered + count.doubtful <= count.after
    }
}
