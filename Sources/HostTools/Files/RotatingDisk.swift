import Glibc

/// A disk of the host whose heads have to move: two programs that read it at once are slower than one after the other.
public struct RotatingDisk: Hashable, Sendable {
    /// The whole disk.
    public let number: DeviceNumber

    /// The disks that hold a file, or the block device `path`, and that say they rotate (`queue/rotational` of sysfs): beneath
    /// partitions, device-mapper and md. A filesystem without a device (btrfs, NFS) tells none. A disk of virtio says it
    /// rotates whatever it is, and so counts as one that doesn't.
    ///
    /// - Parameter root: where `/sys/dev/block` is; tests have one of their own.
    public static func all(below path: String, in root: String = "/sys/dev/block") -> Set<RotatingDisk> {
        guard let status = try? FileStatus(of: path) else { return [] }
        let number = DeviceNumber(
            dev: status.kind == .blockDevice ? dev_t(status.deviceNumber) : dev_t(status.identity.device))
        return leaves(of: number, in: root, depth: 8)
    }

    /// - Parameter depth: of layers; whoever makes more of them gets no answer.
    static func leaves(of number: DeviceNumber, in root: String, depth: Int) -> Set<RotatingDisk> {
        let folder = "\(root)/\(number)"
        guard depth > 0 else { return [] }
        if Files.exists("\(folder)/partition") {
            // The link leads into the disk's own folder.
            let disk = Files.line(of: "\(folder)/../dev").flatMap { DeviceNumber($0) }
            return disk.map { leaves(of: $0, in: root, depth: depth - 1) } ?? []
        }
        let slaves = DeviceLayers.slaves(in: folder)
        guard slaves.isEmpty else {
            return slaves.reduce(into: []) { disks, number in
                disks.formUnion(leaves(of: number, in: root, depth: depth - 1))
            }
        }
        let isVirtual = Files.line(of: "\(folder)/device/modalias")?.hasPrefix("virtio:") ?? false
        guard Files.line(of: "\(folder)/queue/rotational") == "1", !isVirtual else { return [] }
        return [RotatingDisk(number: number)]
    }
}
