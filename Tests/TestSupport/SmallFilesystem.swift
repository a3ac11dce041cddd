import Foundation

/// A filesystem of a test's own, mounted for its time: for what happens when one is full.
public enum SmallFilesystem {
    /// Makes an ext4 of that many MiB in a file, and mounts it at `place` for the time of `body`.
    ///
    /// - Parameters:
    ///   - mebibytes: of the file; some of it is the filesystem's own.
    ///   - folder: where the file goes.
    public static func with<Value>(
        mebibytes: Int, at place: String, in folder: String, _ body: () async throws -> Value
    ) async throws -> Value {
        let file = "\(folder)/small-\(UUID().uuidString)"
        try DiskSet.createSparse(file, size: mebibytes << 20)
        try await Tool.output(of: "mke2fs", ["-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", file])
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try await Tool.output(of: "mount", ["-o", "loop", file, place])
        let outcome: Result<Value, any Error>
        do {
            outcome = .success(try await body())
        } catch {
            outcome = .failure(error)
        }
        try await Tool.output(of: "umount", [place])
        // The loop device is gone with its mount, at the kernel's leisure.
        _ = try await eventually { try await Tool.output(of: "losetup", ["-j", file]).isEmpty }
        try FileManager.default.removeItem(atPath: file)
        return try outcome.get()
    }

    /// Fills the filesystem that holds `path` with that file until no more than some MiB are free.
    public static func fill(_ path: String, leaving mebibytes: Int) async throws {
        let free = try await Tool.output(
            of: "stat", ["-f", "-c", "%a %S", URL(filePath: path).deletingLastPathComponent().path])
        let numbers = free.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        try await Tool.output(of: "fallocate", ["-l", "\(numbers[0] * numbers[1] - (mebibytes << 20))", path])
    }
}
