import HostTools

/// Why a checker that gave up may have lacked memory, as far as it can be known: a limit leaves no trace but the checker's
/// own words.
enum MemoryShortage {
    /// What e2fsck, fsck.fat and xfs_repair say. xfs_repair that gets no thread says so and then waits for ever.
    private static let words = [
        "memory", "malloc", "calloc", "realloc", "cache alloc", "couldn't allocate", "worker threads",
        "prefetch thread",
    ]
    /// How much of a log's end is looked at.
    private static var length: Int { 8192 }

    /// The sentence for the report, or nil.
    ///
    /// - Parameters:
    ///   - log: path of the checker's output.
    ///   - start: where in it the run begins, in bytes.
    static func remark(on status: CommandStatus, log: String, from start: Int64, limit: UInt64) -> String? {
        // Nobody but the kernel, or somebody on the host, ends it so when it was not stopped.
        if status == .signaled(9) { return "was the host short of memory? look: dmesg" }
        guard let line = complaint(in: log, from: start) else { return nil }
        return "it may use \(limit >> 20) MiB of memory, and says: \(line)"
    }

    private static func complaint(in log: String, from start: Int64) -> String? {
        guard let text = try? Files.end(of: log, from: start, limit: length) else { return nil }
        let lines = text.split(whereSeparator: \.isNewline)
        return lines.last { line in words.contains { line.lowercased().contains($0) } }.map { String($0.prefix(200)) }
    }
}
