import HostTools

/// Asks debugfs(8), behind the walls of a checker, what a diagnosis needs. It runs beside a checker that reads the same device,
/// and so takes hardly any time of its own.
struct FactReader: Sendable {
    let runner: any CommandRunner
    let sandbox: Sandbox
    /// Folder for device nodes that a confined program can find.
    let folder: String

    /// A lost+found of 100,000 entries.
    private static var outputLimit: Int { 4 << 20 }
    private static var timeout: Duration { .seconds(20) }

    /// The facts of an ext filesystem; nil where they can't be had: a repair never fails for the want of them.
    ///
    /// - Parameter name: for its files, which no other volume has.
    func facts(on device: AttachedDevice, filedAs name: String) async -> VolumeFacts? {
        guard runner.path(of: "debugfs") != nil else { return nil }
        let name = "facts-\(name)"
        guard
            let node = try? DeviceNode.create(
                at: "\(folder)/\(name)", for: device.number, owner: Sandbox.userID, group: Sandbox.userID)
        else { return nil }
        defer { try? node.remove() }
        // Standard input is taken: bubblewrap reads its filter there.
        let script = "\(folder)/\(name).questions"
        let text = VolumeFacts.questions.joined(separator: "\n") + "\n"
        guard (try? Files.writeReadable(Array(text.utf8), to: script)) != nil else { return nil }
        defer { try? Files.remove(script) }
        let shown = [
            Sandbox.Device(node: node.path, name: name), Sandbox.Device(node: script, name: "\(name).questions"),
        ]
        let arguments = ["-f", sandbox.path(of: shown[1]), sandbox.path(of: shown[0])]
        let command = sandbox.confine(
            Command("debugfs", arguments, timeout: Self.timeout, outputLimit: Self.outputLimit), to: shown)
        guard let result = try? await runner.run(command), result.isSuccess else { return nil }
        return VolumeFacts(answers: result.output, complaints: result.errorOutput)
    }
}
