import HostTools

/// What a run that was killed before its journal was whole leaves: a draft of the journal, and the files of its locks. They say
/// nothing to anybody.
enum Remains {
    /// Deletes them, for every domain on which no run works now.
    static func sweep(journals folder: String) {
        let drafts = Files.entries(of: folder).filter { $0.hasSuffix(draft) }.map { $0.dropLast(draft.count) }
        let locks = Files.entries(of: RunLocks.folder).filter { $0.hasSuffix(lock) }.map { $0.dropLast(lock.count) }
        try? Files.makeFolder(RunLocks.folder)
        for uuid in Set(drafts + locks) {
            let path = "\(RunLocks.folder)/\(uuid)\(lock)"
            guard FileLock.holders(of: path) == nil, let lock = try? FileLock.take(path) else { continue }
            try? Files.remove("\(folder)/\(uuid)\(draft)")
            lock.release()
        }
    }

    private static let draft = ".journal.new"
    private static let lock = ".lock"
}
