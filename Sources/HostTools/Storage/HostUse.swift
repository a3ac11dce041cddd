/// What the host itself does with a file or device that a domain calls its disk.
public enum HostUse: Hashable, Sendable, Codable {
    /// A filesystem on it is mounted, in the mount namespace of the process `process` where it is not ours.
    case mounted(device: String, at: String, process: Int32?)
    /// The host swaps on it.
    case swap(path: String)
    /// A loop device lies over it, or over a part of it.
    case loop(device: String)
    /// An nbd device lies over it, served by a process.
    case nbd(device: String, process: String)
    /// A device-mapper device lies on it.
    case mapped(device: String, name: String)
    /// An md array has it as a member.
    case array(device: String)
    /// Another device lies on it.
    case held(device: String)
    /// Somebody has the device for himself (`O_EXCL`: open(2) of block devices), and it shows nowhere who.
    case claimed(device: String)
    /// Somebody writes to the file, as the words say.
    case written(String)

    /// What it is, in words that continue "is in use on this host: ".
    public var words: String {
        switch self {
        case .mounted(let device, let place, nil): "\(device) is mounted on \(place)"
        case .mounted(let device, let place, let process?):
            "\(device) is mounted on \(place) in another mount namespace (that of process \(process))"
        case .swap(let path): "it swaps on \(path)"
        case .loop(let device): "\(device) lies over it"
        case .nbd(let device, let process): "\(device) lies over it (\(process))"
        case .mapped(let device, let name): "\(device) (\(name)) lies on it"
        case .array(let device): "\(device) has it as a member"
        case .held(let device): "\(device) lies on it"
        case .claimed(let device): "somebody has \(device) for himself"
        case .written(let words): words
        }
    }

    /// The command that ends the use; nil where none is known.
    public var wayOut: String? {
        switch self {
        case .mounted(_, let place, nil): "umount \(place)"
        case .mounted(_, let place, let process?): "nsenter --mount --target \(process) umount \(place)"
        case .swap(let path): "swapoff \(path)"
        case .loop(let device): "losetup --detach \(device)"
        case .nbd(let device, _): "qemu-nbd --disconnect \(device)"
        case .mapped(_, let name): "dmsetup remove \(name) (a logical volume: vgchange -an its group)"
        case .array(let device): "mdadm --stop \(device)"
        case .held, .claimed, .written: nil
        }
    }
}

extension HostStorage {
    /// Who changes a file or device that others may read as they like: a layer below a disk.
    ///
    /// - Parameters: as of ``uses(of:path:besides:)``.
    public func writers(of node: StorageNode, path: String, besides machine: String) -> [HostUse] {
        let words: [String]
        switch node {
        case .device(let number): words = FileWriters.words(ofDevices: [number], besides: machine)
        case .file: words = FileWriters.words(ofFile: path, besides: machine)
        }
        guard !words.isEmpty else { return [] }
        // The kernel's own devices have no process.
        let uses = uses(of: node, path: path, besides: machine)
        return uses.isEmpty ? words.map(HostUse.written) : uses
    }

    /// What the host does with a file or device, or with anything that has bytes in common with it.
    ///
    /// - Parameters:
    ///   - path: one that leads to `node`.
    ///   - machine: the UUID of the domain that it is a disk of.
    public func uses(of node: StorageNode, path: String, besides machine: String) -> [HostUse] {
        let shared = sharing(node)
        var uses: [HostUse] = []
        for case .device(let number) in shared where .device(number) != node && !isFoundation(.device(number), of: node)
        {
            guard let device = devices[number] else { continue }
            let path = "/dev/\(device.name)"
            switch device.kind {
            case .disk, .partition: continue
            case .loop: uses.append(.loop(device: path))
            case .nbd(let process): uses.append(.nbd(device: path, process: process))
            case .mapped(let name): uses.append(.mapped(device: path, name: name))
            case .array: uses.append(.array(device: path))
            case .other: uses.append(.held(device: path))
            }
        }
        uses.sort { $0.words < $1.words }
        for path in SwapTable.paths {
            guard let status = try? FileStatus(of: path), let swap = StorageNode(status), shared.contains(swap) else {
                continue
            }
            uses.append(.swap(path: path))
        }
        var numbers: [DeviceNumber: String] = [:]
        for case .device(let number) in shared { numbers[number] = "/dev/\(devices[number]?.name ?? "\(number)")" }
        if !numbers.isEmpty { uses.insert(contentsOf: MountTable.mounts(of: numbers), at: 0) }
        guard uses.isEmpty else { return uses }
        // Who it is shows nowhere else.
        switch node {
        case .device:
            // Who writes to a whole disk may do so anywhere on it.
            let same = Set(numbers.keys).filter { !isFoundation(.device($0), of: node) }
            let writers = FileWriters.words(ofDevices: same, besides: machine)
            guard writers.isEmpty else { return writers.map(HostUse.written) }
            return Files.isClaimed(path) ? [.claimed(device: path)] : []
        case .file: return FileWriters.words(ofFile: path, besides: machine).map(HostUse.written)
        }
    }
}
