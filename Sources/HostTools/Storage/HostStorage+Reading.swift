import CLinux
import Glibc

extension HostStorage {
    /// Looks at this host's block devices (sysfs, `LOOP_GET_STATUS64`, device-mapper's tables). Reads no content of any.
    ///
    /// - Parameters:
    ///   - silent: paths of loop and nbd devices whose files are not looked at: they did not answer.
    ///   - begin: told the path of each such device before its files are looked at, which may never answer.
    public static func read(besides silent: Set<String> = [], beginning begin: (String) -> Void = { _ in })
        -> HostStorage
    {
        var devices: [DeviceNumber: Device] = [:]
        for entry in Files.entries(of: "/sys/dev/block") {
            guard let number = DeviceNumber(entry) else { continue }
            devices[number] = Device(number, folder: "/sys/dev/block/\(entry)") { path in
                guard !silent.contains(path) else { return false }
                begin(path)
                return true
            }
        }
        return HostStorage(devices: devices)
    }

    /// Paths of the block devices whose way to the processor goes through a part such as `/0000:01:00.0/`.
    ///
    /// - Parameter folder: where their links are.
    public static func blockDevices(below part: String, in folder: String = "/sys/class/block") -> [String] {
        Files.entries(of: folder).filter { Files.link(of: "\(folder)/\($0)").contains(part) }.map { "/dev/\($0)" }
    }
}

extension HostStorage.Device {
    /// - Parameter mayLook: asked with the device's path, before files are looked at that it lies on.
    init(_ number: DeviceNumber, folder: String, mayLook: (String) -> Bool) {
        let uevent = Files.line(of: "\(folder)/uevent") ?? ""
        name =
            uevent.split(separator: "\n").first { $0.hasPrefix("DEVNAME=") }.map { String($0.dropFirst(8)) }
            ?? "\(number)"
        kind = .disk
        if Files.exists("\(folder)/partition") {
            kind = .partition
            // The folder of a partition lies in that of its disk.
            if let disk = Files.line(of: "\(folder)/../dev").flatMap(DeviceNumber.init),
                let start = Files.number(of: "\(folder)/start"), let size = Files.number(of: "\(folder)/size")
            {
                lower = [StorageExtent(node: .device(disk), sectors: start, count: size)]
            }
        } else if Files.exists("\(folder)/loop") {
            readLoop(number, folder, mayLook)
        } else if Files.exists("\(folder)/pid"), name.hasPrefix("nbd") {
            readNBD(folder, mayLook)
        } else {
            readHolder(number, folder)
        }
    }

    private mutating func readLoop(_ number: DeviceNumber, _ folder: String, _ mayLook: (String) -> Bool) {
        let file = Files.line(of: "\(folder)/loop/backing_file") ?? ""
        kind = .loop(file: file)
        let offset = Files.number(of: "\(folder)/loop/offset") ?? 0
        let limit = Files.number(of: "\(folder)/loop/sizelimit") ?? 0
        let length = limit > 0 ? limit : (Files.number(of: "\(folder)/size") ?? 0) &* 512
        let (end, overflow) = offset.addingReportingOverflow(length)
        let range = offset..<(overflow || length == 0 ? UInt64.max : end)
        var nodes: Set<StorageNode> = []
        guard mayLook("/dev/\(name)") else {
            isOpaque = true
            return
        }
        // What the kernel has open; and what the path leads to, where that has the same inode: older kernels tell another device number
        // of btrfs than stat(2). With another inode it is another namespace's path.
        let open = LoopDevice.backing(of: number)
        if let open { nodes.insert(open) }
        if let status = try? FileStatus(of: file), let node = StorageNode(status), open?.mayBe(node) ?? true {
            nodes.insert(node)
        }
        lower = nodes.map { StorageExtent(node: $0, range: range) }
        isOpaque = nodes.count > 1
    }

    private mutating func readNBD(_ folder: String, _ mayLook: (String) -> Bool) {
        let pid = Files.line(of: "\(folder)/pid") ?? ""
        let program = Files.line(of: "/proc/\(pid)/comm") ?? "?"
        kind = .nbd(process: "\(program), pid \(pid)")
        isOpaque = true
        guard mayLook("/dev/\(name)") else { return }
        for descriptor in Files.entries(of: "/proc/\(pid)/fd") {
            guard let status = try? FileStatus(of: "/proc/\(pid)/fd/\(descriptor)"), let node = StorageNode(status)
            else { continue }
            lower.append(StorageExtent(node: node, range: 0..<UInt64.max))
        }
    }

    private mutating func readHolder(_ number: DeviceNumber, _ folder: String) {
        let slaves = DeviceLayers.slaves(in: folder)
        if let name = Files.line(of: "\(folder)/dm/name") {
            kind = .mapped(name)
            if let places = DeviceMapper.places(of: number) {
                lower = places.extents
                isOpaque = !places.isInOrder
                return
            }
        } else if Files.exists("\(folder)/md") {
            kind = .array
        } else if !slaves.isEmpty {
            kind = .other
        }
        isOpaque = !slaves.isEmpty
        lower = slaves.map { StorageExtent(node: .device($0), range: 0..<UInt64.max) }
    }
}

extension StorageExtent {
    /// A place in sectors of 512 bytes, in which the kernel counts whatever the device's own are.
    init(node: StorageNode, sectors start: UInt64, count: UInt64) {
        let (from, tooFar) = start.multipliedReportingOverflow(by: 512)
        let (length, tooLong) = count.multipliedReportingOverflow(by: 512)
        let (end, overflow) = from.addingReportingOverflow(length)
        self.init(node: node, range: tooFar ? 0..<UInt64.max : from..<(tooLong || overflow ? UInt64.max : end))
    }
}

extension Files {
    /// The number in a small file, such as one of sysfs; nil where there is none.
    static func number(of path: String) -> UInt64? { line(of: path).flatMap { UInt64($0.filter { !$0.isWhitespace }) } }
}
