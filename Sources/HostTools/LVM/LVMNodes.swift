import Glibc

/// Device nodes that `lvm` is shown in place of those that it must not open: they are its own, in a folder of their own.
struct LVMNodes {
    /// A device by the path that was given for it, and what lvm is shown.
    let devices: [(path: String, shown: Sandbox.Device)]

    /// A file that calls the devices' drivers by a name that lvm takes without questions, in the place of `/proc/devices`: to
    /// one of device-mapper's it would put questions that only root may ask.
    let types: String

    private let nodes: [DeviceNode]
    private let folder: String

    /// Makes a node for each device; leaves none behind when it throws.
    ///
    /// - Parameters:
    ///   - numbers: what the paths stand for.
    ///   - folder: where the nodes' folder is made.
    init(for paths: [String], _ numbers: [DeviceNumber: String], in parent: String) throws(LVMError) {
        folder = "\(parent)/lvm"
        types = "\(parent)/lvm-devices"
        var nodes: [DeviceNode] = []
        var devices: [(path: String, shown: Sandbox.Device)] = []
        do {
            // Without bubblewrap lvm goes through it as it is, and looks at everything that is in it.
            try Files.makeFolder(folder, mode: 0o755)
            for (index, path) in paths.enumerated() {
                guard let number = numbers.first(where: { $0.value == path })?.key else { continue }
                let node = try DeviceNode.create(
                    at: "\(folder)/pv\(index)", for: number, owner: Sandbox.userID, group: Sandbox.userID)
                nodes.append(node)
                devices.append((path, Sandbox.Device(node: node.path, name: "pv\(index)")))
            }
            let majors = Set(nodes.map(\.device.major)).sorted()
            let text = "Character devices:\n\nBlock devices:\n" + majors.map { "\($0) loop\n" }.joined()
            try Files.writeReadable(Array(text.utf8), to: types)
        } catch {
            for node in nodes { try? node.remove() }
            try? Files.removeFolder(folder)
            try? Files.remove(types)
            throw .nodes(folder: folder, reason: String(describing: error))
        }
        self.nodes = nodes
        self.devices = devices
    }

    /// Deletes what was made.
    func remove() {
        for node in nodes { try? node.remove() }
        try? Files.removeFolder(folder)
        try? Files.remove(types)
    }
}
