import HostTools

/// What a run that was killed before its journal was whole leaves: a draft of the journal, and the file of its lock. Both say
/// nothing to anybody.
enum Remains {
    /// Deletes them, for every domain on which no run works now.
    static func sweep(journals folder: String) {
        let drafts = Files.entries(of: folder).filter { $0.hasSuffix(draft) }.map { $0.dropLast(draft.count) }
        let locks = Files.entries(of: RunFolders.locks).filter { $0.hasSuffix(lock) }.map { $0.dropLast(lock.count) }
        for uuid in Set(drafts + locks) {
            guard let lock = try? RunFolders.lock(String(uuid), name: String(uuid)) else { continue }
            try? Files.remove("\(folder)/\(uuid)\(draft)")
            lock.release()
        }
    }

    private static let draft = ".journal.new"
    private static let lock = ".lock"
}
