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
    /// What the host does with a file or device, or with anything that has bytes in common with it.
    ///
    /// - Parameter path: one that leads to `node`.
    public func uses(of node: StorageNode, path: String) -> [HostUse] {
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
        case .device: return Files.isClaimed(path) ? [.claimed(device: path)] : []
        case .file: return FileWriters.words(of: path).map(HostUse.written)
        }
    }
}
