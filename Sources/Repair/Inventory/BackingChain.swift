import HostTools
import SystemPackage

/// An image and what lies below it, as libvirt gives it to QEMU.
struct BackingChain: Sendable {
    let runner: any CommandRunner

    private static let mostLayers = 64

    /// What a path leads to; nil where there is nothing.
    ///
    /// - Throws: ``DomainProblem`` for a name that means something else to everybody; `Patience.Exhausted`; `Errno`.
    func status(of path: String) async throws -> FileStatus? {
        try await Patience.run { steps in
            steps.begin(path)
            // It follows the links to the file, and asks its filesystem.
            if let problem = HostPath.problem(path) { throw DomainProblem(problem) }
            do throws(Errno) {
                return try FileStatus(of: path)
            } catch {
                guard error == .noSuchFileOrDirectory else { throw error }
                return nil
            }
        }
    }

    /// The image and everything below it. Each format is one that somebody wrote down: the XML, or the header of the layer above.
    ///
    /// Where the XML names layers, libvirt follows it and not the headers, down to its empty `<backingStore/>`; below the last
    /// layer of an XML without that end, and where it names none, the headers tell.
    ///
    /// - Parameter backing: what the XML says of the layers below.
    /// - Throws: ``DomainProblem``, ``CommandError``: what can't be read, or not be repaired.
    func layers(below path: String, format: String, _ backing: Disk.Backing) async throws -> [ImageInfo] {
        var named: [Disk.Layer] = []
        var isTerminated = false
        if case .layers(let layers, let isEnd) = backing { (named, isTerminated) = (layers, isEnd) }
        guard named.isEmpty || format == "qcow2" else {
            throw DomainProblem("\(path): a \(format) image has no backing file, and the domain's XML names one")
        }
        var layers: [ImageInfo] = []
        for layer in [Disk.Layer(path: path, format: format)] + named {
            if let problem = layer.problem { throw DomainProblem(problem) }
            try await add(layer.path, layer.format, to: &layers)
        }
        while !isTerminated, let last = layers.last, let backing = last.backing {
            guard backing.path.hasPrefix("/") else {
                throw DomainProblem("\(last.path): its backing file \(backing.path) is no file of this host")
            }
            guard let format = backing.format else {
                throw DomainProblem(
                    "\(last.path): does not record the format of its backing file \(backing.path); record it "
                        + "with: qemu-img rebase -u -F FORMAT -b \(backing.path) \(last.path)")
            }
            try await add(backing.path, format, to: &layers)
        }
        // What is below each layer to the guest, whatever its header says.
        for index in layers.indices {
            let next = layers.indices.contains(index + 1) ? layers[index + 1] : nil
            layers[index].backing = next.map { ImageInfo.Backing(path: $0.path, format: $0.format) }
        }
        return layers
    }

    private func add(_ path: String, _ format: String, to layers: inout [ImageInfo]) async throws {
        let above = layers.last?.path
        guard layers.count < Self.mostLayers, !layers.contains(where: { $0.path == path }) else {
            throw DomainProblem("\(path): the backing chain is a circle or has more than \(Self.mostLayers) layers")
        }
        guard let status = try await status(of: path) else {
            throw DomainProblem("\(above.map { "\($0): its backing file " } ?? "")\(path) is missing")
        }
        guard StorageNode(status) != nil else {
            throw DomainProblem("\(path) is neither a file nor a block device")
        }
        if above != nil, !["qcow2", "raw"].contains(format) {
            throw DomainProblem("\(path): images of format '\(format)' are not supported (qcow2 and raw are)")
        }
        // QEMU would open that file, whatever it is.
        if format == "qcow2" {
            let header = Qcow2Header(of: path)
            guard header?.dataFile == nil else {
                throw DomainProblem("\(path): keeps its data in another file, which is not supported")
            }
            guard header != nil || !Qcow2Header.isThere(at: path) else {
                throw DomainProblem(
                    "\(path): its header is not understood, and may name other files; nothing is done with it")
            }
        }
        layers.append(try await QemuImage(runner: runner).info(path: path, format: format))
    }
}
