import HostTools

/// Looks for a system that sleeps on a domain's disks. Its memory, which lies in a swap or in a file of an NTFS, knows every filesystem
/// that it had mounted: what is written to one of them meanwhile destroys it when the system wakes up.
///
/// For NTFS ntfs-3g.probe(8) is asked: whether /hiberfil.sys holds a system, and whether the log says that Windows keeps
/// metadata in its cache, as fast startup does.
struct Hibernation<Mapping: VolumeMapping>: Sendable {
    /// The disks, read-only.
    let originals: Mapping
    let runner: any CommandRunner
    let sandbox: Sandbox
    /// Folder for device nodes that a confined program can find.
    let folder: String

    /// What was found out; the texts begin with the volume's name.
    enum Finding: Hashable, Sendable {
        /// Nothing sleeps.
        case awake
        /// A system sleeps: which, and the way out.
        case asleep(String)
        /// It can't be told, and why: nothing may be written.
        case unknown(String)
    }

    private static var program: String { "ntfs-3g.probe" }

    /// The finding on all volumes of a domain: the first system that sleeps, or else the first doubt.
    ///
    /// - Throws: what keeps a volume from becoming a device.
    func finding(in volumes: [Volume]) async throws -> Finding {
        var finding = Finding.awake
        for (index, volume) in volumes.enumerated() {
            switch try await self.finding(on: volume, index) {
            case .awake: continue
            case .asleep(let words): return .asleep(words)
            case .unknown(let words): if finding == .awake { finding = .unknown(words) }
            }
        }
        return finding
    }

    private func finding(on volume: Volume, _ index: Int) async throws -> Finding {
        if !volume.signatureTypes.isDisjoint(with: ["swsuspend", "suspend"]) {
            return .asleep(
                "\(volume.name): holds a hibernated system, whose memory knows the old filesystems: a repair beneath it "
                    + "would destroy them; boot the domain and shut it down, or give that system up by booting once with "
                    + "the kernel's parameter noresume")
        }
        if volume.signatureTypes.contains("BitLocker") {
            return .unknown(
                "\(volume.name): is encrypted with BitLocker; turn that off, or let Windows repair its disks (chkdsk)")
        }
        if volume.isPartOfWindows {
            return .unknown(
                "\(volume.name): belongs to a dynamic disk or a storage pool of Windows, and whether that sleeps can't be told; let "
                    + "Windows repair its disks (chkdsk)")
        }
        guard volume.signatureTypes.contains("ntfs") || volume.hasNTFSBootSector else { return .awake }
        guard let layout = volume.layout, volume.signatureTypes.contains("ntfs") else {
            return .unknown("\(volume.name): holds an NTFS that can't be read; let Windows repair it (chkdsk)")
        }
        guard runner.path(of: Self.program) != nil else {
            let package = DebianPackage.providing(Self.program)
            return .unknown("\(volume.name): \(CommandError.notFound(program: Self.program, package: package))")
        }
        return try await originals.withDevice(for: layout, access: .readOnly) { device in
            try await finding(on: volume, device, nodeName: "hibernation-\(index)")
        }
    }

    private func finding(
        on volume: Volume, _ device: AttachedDevice, nodeName: String
    ) async throws -> Finding {
        let node = try DeviceNode.create(
            at: "\(folder)/\(nodeName)", for: device.number, owner: Sandbox.userID, group: Sandbox.userID)
        defer { try? node.remove() }
        let shown = Sandbox.Device(node: node.path, name: nodeName)
        // Asked for reading only, it wouldn't look. It opens a device that is read-only for reading all the same.
        let command = sandbox.confine(Command(Self.program, "--readwrite", sandbox.path(of: shown)), to: [shown])
        let result = try await runner.run(command)
        try Task.checkCancellation()
        switch sandbox.status(of: result.status) {
        // 15: not unmounted cleanly. The file and the log have been looked at then.
        case .exited(0), .exited(15): return .awake
        case .exited(14):
            return .asleep(
                "\(volume.name): Windows is hibernated, was shut down with fast startup, or was cut off while it kept metadata "
                    + "in memory (\(Self.program): \(result.complaint)); a repair beneath it could destroy its filesystems: boot "
                    + "the domain and shut Windows down fully: shutdown /s /f /t 0 (powercfg /h off keeps it from hibernating)"
            )
        case let status:
            return .unknown(
                "\(volume.name): \(Self.program) gave up (\(status): \(result.complaint)); let Windows repair it (chkdsk)"
            )
        }
    }
}
