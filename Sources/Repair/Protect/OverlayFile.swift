import HostTools

/// The file of an overlay before it is an image.
enum OverlayFile {
    /// Makes an empty file with owner, mode, ACL and label of a disk; both it and its entry in the folder are on disk when
    /// this returns.
    static func create(_ path: String, like disk: String) throws {
        let folder = Files.folder(of: path)
        // The folder of our own; qemu's user must be able to search it.
        if folder.hasPrefix("/var/lib/virt-fsck/") { try Files.makeFolder(folder, mode: 0o711) }
        let attributes: FileAttributes
        do {
            attributes = try FileAttributes(of: disk)
            try Files.create(path)
        } catch {
            throw DomainProblem("\(folder): can't make the overlay there: \(error); give another --scratch-dir")
        }
        do {
            try attributes.apply(to: path)
            try Files.sync(path)
            try Files.sync(folder)
        } catch {
            let problem = DomainProblem(
                "\(path): the overlay can't be made there: \(error); give another place: --scratch-dir")
            do {
                try Files.remove(path)
            } catch let second {
                throw CleanUpError(work: problem, cleanUp: DomainProblem("\(path): \(second)"))
            }
            throw problem
        }
    }

    /// Deletes an overlay, for good: the journal, which goes next, must not be gone before it. One that is gone already is
    /// fine.
    static func remove(_ path: String) throws {
        try Files.remove(path)
        try Files.sync(Files.folder(of: path))
    }
}
