import HostTools

/// Copies of overlays that are thrown away otherwise: what a disk would be with a repair that loses too much to be made.
struct KeptOverlays: Sendable {
    let runner: any CommandRunner
    /// Where they are put: a folder of the user's choice.
    let folder: String
    /// For their names: the domain's and the run's.
    let domain: String
    let run: String

    /// Copies an overlay, while the daemon has it open still. The copy lies over the disk as the overlay does, and means nothing
    /// any more when that changes.
    ///
    /// - Parameter mapping: of the overlays; through it everything is synced that was written.
    /// - Returns: the copy's path.
    /// - Throws: what a device, the folder or cp(1) says; nothing is left then.
    func keep(_ overlay: Overlays.Overlay, _ mapping: some VolumeMapping) async throws -> String {
        let whole = Layout(disk: overlay.disk.target, offset: 0, length: overlay.disk.size)
        try await mapping.withDevice(for: whole, access: .readWrite) { try $0.sync() }
        let name = "\(FileName.safe(domain))-\(FileName.safe(overlay.disk.target))-\(run).qcow2"
        let path = "\(folder)/\(name)"
        // Whoever finds one with its own name has all of it.
        let part = "\(path).part"
        try Files.create(part)
        do {
            _ = try await runner.output(
                of: Command("cp", ["--reflink=auto", "--sparse=always", overlay.path, part], timeout: .seconds(3600)))
            try Files.sync(part)
            let check = try await QemuImage(runner: runner).check(path: part, format: "qcow2", opening: .imageAlone)
            guard check != .corrupt else { throw DomainProblem("\(path): the copy is not whole") }
            try Files.rename(part, to: path)
            try Files.sync(folder)
        } catch {
            try? Files.remove(part)
            throw error
        }
        return path
    }
}
