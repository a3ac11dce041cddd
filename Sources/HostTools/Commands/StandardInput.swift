import SystemPackage

/// What a program reads: a pipe that holds all of it, and has no writer any more.
///
/// swift-subprocess would write for us, and ends the whole process ("was not closed") when the program has ended before it
/// has read, as one does that is cancelled in its first moment.
struct StandardInput: Sendable {
    /// Where the program reads.
    let reader: FileDescriptor

    /// Fills a pipe.
    ///
    /// - Parameter bytes: less than a pipe holds, 64 KiB (pipe(7)).
    /// - Throws: `Errno`.
    init(holding bytes: [UInt8]) throws {
        let ends = try FileDescriptor.pipe()
        reader = ends.readEnd
        defer { try? ends.writeEnd.close() }
        do {
            _ = try ends.writeEnd.writeAll(bytes)
        } catch {
            try? ends.readEnd.close()
            throw error
        }
    }

    /// Gives our own end up.
    func close() {
        try? reader.close()
    }
}
