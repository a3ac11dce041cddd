import HostTools
import SystemPackage

/// Extents that lie apart, joined without device-mapper: QEMU's vmdk driver takes a description of extents in other files
/// (VMware's "Virtual Disk Format 1.1", extent type FLAT), and a second daemon shows their sum as one file.
///
/// Each extent is a device node of its own, because QEMU's locks (per inode) would keep two extents of one disk apart.
struct Joint: Sendable {
    let layout: Layout
    /// The attached disks by target.
    let disks: [String: AttachedDevice]
    let context: EngineContext

    /// QEMU reads one MiB of the description and opens every extent.
    private static var mostExtents: Int { 12_000 }

    /// Makes the joined extents a block device for the time of `body`.
    func withDevice<Value: Sendable>(
        access: DeviceAccess, _ body: (AttachedDevice) async throws -> Value
    ) async throws -> Value {
        guard let runs = layout.runs(limit: Self.mostExtents) else {
            throw DomainProblem("is in more than \(Self.mostExtents) pieces; joining them needs device-mapper")
        }
        let name = context.names.next("joint")
        let folder = "\(context.folders.devices)/\(name)"
        let file = "\(context.folders.runtime)/\(name).vmdk"
        return try await scoped {
            try Files.makeFolder(folder)
            try write(try description(of: runs, folder: folder), to: file)
            let log = try context.folders.openLog("run")
            defer { try? log.close() }
            return try await StorageDaemon.run(by: context.runner, log: log) { daemon in
                try await daemon.openJoint(file, as: name, access: access)
                let engine = FUSEEngine(
                    context: EngineContext(
                        daemon: daemon, runner: context.runner, folders: context.folders, names: context.names))
                let below = Array(disks.values)
                return try await engine.withDevice(on: name, access: access) { device in
                    try await body(
                        AttachedDevice(path: device.path, number: device.number) {
                            try device.sync()
                            for disk in below { try disk.sync() }
                        })
                }
            }
        } close: {
            for index in runs.indices { try Files.remove("\(folder)/\(index)") }
            try Files.removeFolder(folder)
            try Files.remove(file)
        }
    }

    /// The description, and a node for each extent that it names. It counts in sectors of 512 bytes.
    private func description(of runs: [(extent: Layout.Extent, length: UInt64)], folder: String) throws -> String {
        var text = """
            # Disk DescriptorFile
            version=1
            CID=fffffffe
            parentCID=ffffffff
            createType="twoGbMaxExtentFlat"

            # Extent description

            """
        for (index, run) in runs.enumerated() {
            guard let device = disks[run.extent.disk] else {
                throw DomainProblem("\(run.extent.disk): is not attached")
            }
            let node = try DeviceNode.create(at: "\(folder)/\(index)", for: device.number)
            text += "RW \(run.length / 512) FLAT \"\(node.path)\" \(run.extent.offset / 512)\n"
        }
        return text
    }

    private func write(_ text: String, to path: String) throws {
        let file = try FileDescriptor.open(
            FilePath(path), .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
            permissions: [.ownerReadWrite])
        try file.closeAfter { _ = try file.writeAll(text.utf8) }
    }
}
