import HostTools

/// What a checker's log says of files, for the case that they could not be counted: then these words are all there is.
enum LossSigns {
    /// Whether a checker removed, cut or moved a file, or made the root folder anew, by its log.
    ///
    /// - Parameter offset: where in the log its runs begin, in bytes.
    /// - Throws: `Errno` when the log can't be read.
    static func touchesFiles(_ checker: Checker, log: String, from offset: Int64) throws -> Bool {
        let phrases =
            switch checker {
            case .ext: ext
            case .xfs: xfs
            case .fat: fat
            }
        let finder = PhraseFinder(phrases)
        let longest = phrases.map(\.utf8.count).max() ?? 0
        return try Files.contains(in: log, from: offset, longest: longest) { text in
            var isFound = false
            finder.find(in: text) { _, _ in isFound = true }
            return isFound
        }
    }

    /// e2fsck/problem.c: those of its questions (`prompt`) that are about files, with the answer that -y gives.
    private static let ext = [
        "Allocate? yes", "Clear? yes", "Clear inode? yes", "Clone multiply-claimed blocks? yes",
        "Connect to /lost+found? yes", "Delete file? yes", "Salvage? yes", "Split? yes", "Truncate? yes", "Unlink? yes",
    ]
    /// repair/dinode.c, repair/dir2.c, repair/phase3.c, repair/phase6.c.
    private static let xfs = [
        "bad directory", "cleared inode", "cleared root inode", "clearing attr fork", "clearing entry",
        "clearing inode",
        "disconnected dir inode", "disconnected inode", "junking", "root inode lost",
    ]
    /// src/check.c and src/file.c: what it says when it changes files; src/fat.c: chains without a name.
    private static let fat = [
        "Deleting", "Dropping", "Reclaimed", "Renamed to", "Truncating", "renaming",
    ]
}
