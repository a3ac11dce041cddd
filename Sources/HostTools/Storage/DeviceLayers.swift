/// What lies below a block device, as /sys tells.
public enum DeviceLayers {
    /// The names of a device and of all that it is made of: `dm-3`, `nbd0`.
    ///
    /// - Parameter root: where `/sys/dev/block` is; tests have one of their own.
    public static func names(of number: DeviceNumber, in root: String = "/sys/dev/block") -> Set<String> {
        var names: Set<String> = []
        var open = [number]
        // Whoever stacks more gets no answer for the rest.
        while let next = open.popLast(), names.count < 64 {
            let folder = "\(root)/\(next)"
            let lines = Files.line(of: "\(folder)/uevent")?.split(separator: "\n") ?? []
            guard let name = lines.first(where: { $0.hasPrefix("DEVNAME=") }),
                names.insert(String(name.dropFirst(8))).inserted
            else { continue }
            open += slaves(in: folder)
        }
        return names
    }

    /// The devices right below one.
    ///
    /// - Parameter folder: the device's in sysfs.
    static func slaves(in folder: String) -> [DeviceNumber] {
        Files.entries(of: "\(folder)/slaves").compactMap {
            Files.line(of: "\(folder)/slaves/\($0)/dev").flatMap { DeviceNumber($0) }
        }
    }

    /// How many sectors of 512 bytes were written to a device so far: a flush is a request, too, and writes none. nil where nobody
    /// tells (the kernel's `Documentation/block/stat.rst`).
    public static func sectorsWritten(to number: DeviceNumber, in root: String = "/sys/dev/block") -> UInt64? {
        Files.line(of: "\(root)/\(number)/stat").flatMap {
            let fields = $0.split(whereSeparator: \.isWhitespace)
            return fields.count > 6 ? UInt64(fields[6]) : nil
        }
    }
}
