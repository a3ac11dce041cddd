import Glibc

/// What is mounted on this host, in every mount namespace.
public enum MountTable {
    /// Mounts of filesystems that are on some devices (proc_pid_mountinfo(5)).
    ///
    /// - Parameter devices: names for the report, by number.
    static func mounts(of devices: [DeviceNumber: String]) -> [HostUse] {
        let ours = Files.link(of: "/proc/self/ns/mnt")
        var namespaces: [String: Int32] = [:]
        for entry in Files.entries(of: "/proc") {
            guard let pid = Int32(entry) else { continue }
            let namespace = Files.link(of: "/proc/\(pid)/ns/mnt")
            guard !namespace.isEmpty, namespace != ours else { continue }
            namespaces[namespace] = min(pid, namespaces[namespace] ?? pid)
        }
        var found: [HostUse] = []
        // A mount that was there before a namespace was made is in both: it is said once.
        var seen: Set<String> = []
        for pid in [nil] + namespaces.values.sorted().map(Optional.some) {
            let folder = "/proc/\(pid.map(String.init) ?? "self")"
            for (number, source, place) in entries(of: "\(folder)/mountinfo") {
                guard let device = devices[number] ?? sourceDevice(source, seenFrom: folder).flatMap({ devices[$0] }),
                    seen.insert("\(device) \(place)").inserted
                else { continue }
                found.append(.mounted(device: device, at: place, process: pid))
            }
        }
        return found
    }

    /// btrfs mounts have a number of their own; their source names the device.
    private static func sourceDevice(_ source: String, seenFrom folder: String) -> DeviceNumber? {
        guard source.hasPrefix("/dev/"), let status = try? FileStatus(of: "\(folder)/root\(source)"),
            status.kind == .blockDevice
        else { return nil }
        return DeviceNumber(dev: UInt(status.deviceNumber))
    }

    private static func entries(of path: String) -> [(number: DeviceNumber, source: String, place: String)] {
        let text = String(decoding: Files.content(of: path, limit: 16 << 20) ?? [], as: UTF8.self)
        return text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            guard fields.count > 6, let number = DeviceNumber(String(fields[2])),
                let mark = fields.firstIndex(of: "-"), fields.count > mark + 2
            else { return nil }
            return (number, unescaped(fields[mark + 2]), unescaped(fields[4]))
        }
    }

    /// A field of such a table, or of /etc/fstab, as it is meant: blanks and the like stand there as `\040` (proc_pid_mountinfo(5),
    /// getmntent(3)).
    public static func unescaped(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// What the host swaps on.
enum SwapTable {
    /// Paths of devices and files (proc_swaps(5)).
    static var paths: [String] {
        let text = String(decoding: Files.content(of: "/proc/swaps", limit: 1 << 20) ?? [], as: UTF8.self)
        return text.split(separator: "\n").dropFirst().compactMap { line in
            line.split(whereSeparator: { $0 == " " || $0 == "\t" }).first.map(MountTable.unescaped)
        }
    }
}
