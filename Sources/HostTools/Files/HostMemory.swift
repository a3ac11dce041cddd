/// The host's memory, as proc_meminfo(5) tells it.
public enum HostMemory {
    /// Bytes that programs could still get without swapping (`MemAvailable`); nil where the kernel doesn't say.
    public static var available: UInt64? {
        Files.content(of: "/proc/meminfo", limit: 1 << 16).flatMap {
            available(in: String(decoding: $0, as: UTF8.self))
        }
    }

    static func available(in text: String) -> UInt64? {
        let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        let words = line?.split(separator: " ") ?? []
        guard words.count == 3, words[2] == "kB", let kibibytes = UInt64(words[1]) else { return nil }
        return kibibytes << 10
    }
}
