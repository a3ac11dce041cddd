import HostTools
import Synchronization
import SystemPackage

/// The journal of one run on one domain: what it takes to finish or to undo it after kill -9 or a power cut.
///
/// Entries are for what outlives a power cut. What doesn't (devices, mappings, mounts, processes) is known by the run's name,
/// which the first entry brings to the disk before anything is made.
final class Journal: Sendable {
    /// The run.
    let header: JournalHeader

    private struct State {
        var length: Int64
        var sum: UInt32
        var isOpenEnded = false
        var hasMerged = false
    }

    private let path: String
    private let file: FileDescriptor
    private let state: Mutex<State>

    private init(path: String, file: FileDescriptor, header: JournalHeader, state: sending State) {
        self.path = path
        self.file = file
        self.header = header
        self.state = Mutex(state)
    }

    deinit {
        try? file.close()
    }

    /// Where the journal of a domain is. There is one at most: a run recovers what the one before it left.
    static func path(of uuid: String, in folder: String) -> String { "\(folder)/\(FileName.safe(uuid)).journal" }

    /// Starts the journal of a run: when this returns it is on the disk.
    ///
    /// - Parameter folder: of the journals; made where it is missing, for root only.
    /// - Throws: ``DomainProblem``.
    static func begin(_ header: JournalHeader, in folder: String) throws(DomainProblem) -> Journal {
        let path = path(of: header.uuid, in: folder)
        do {
            try Files.makeFolder(folder)
            let draft = "\(path).new"
            try Files.remove(draft)
            let file = try FileDescriptor.open(
                FilePath(draft), .readWrite, options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: [.ownerReadWrite])
            let journal = Journal(path: path, file: file, header: header, state: State(length: 0, sum: 0))
            do {
                try journal.append(.begin(header))
                // It has its name only when it is whole.
                try Files.rename(draft, to: path)
                try Files.sync(folder)
            } catch {
                try? Files.remove(draft)
                throw error
            }
            return journal
        } catch {
            throw DomainProblem(
                "\(folder): the journal can't be written: \(error); without it nothing is begun, for an interrupted run "
                    + "could not be recovered")
        }
    }

    /// Goes on with the journal of an interrupted run, which may have been killed before what we read of it was on the disk.
    static func resume(_ record: JournalRecord) throws -> Journal {
        let file = try FileDescriptor.open(FilePath(record.path), .readWrite, options: [.closeOnExec])
        try Files.sync(file)
        try Files.sync(Files.folder(of: record.path))
        return Journal(
            path: record.path, file: file, header: record.header,
            state: State(
                length: Int64(record.length), sum: record.sum, isOpenEnded: record.pointing != nil,
                hasMerged: record.hasBegunToMerge))
    }

    /// Brings an entry to the disk. Only when this has returned its step may be done.
    func append(_ entry: JournalEntry) throws {
        try state.withLock { state in
            let (text, sum) = try JournalText.line(entry, after: state.sum)
            do {
                // A torn line behind the last whole one would spoil what comes after it.
                try file.resize(to: state.length)
                _ = try file.writeAll(toAbsoluteOffset: state.length, text)
                try Files.sync(file)
            } catch {
                try? file.resize(to: state.length)
                throw DomainProblem("\(path): \(error)")
            }
            state.length += Int64(text.count)
            state.sum = sum
            if case .point = entry { state.isOpenEnded = true }
            if entry == .merge { state.hasMerged = true }
        }
    }

    /// Whether the domain's XML may name overlays of the run: they must stay, and so must the journal.
    var isOpenEnded: Bool { state.withLock { $0.isOpenEnded } }

    /// Whether a disk may hold something of the repair.
    var hasMerged: Bool { state.withLock { $0.hasMerged } }

    /// Nothing names the overlays any more, and nothing is half merged.
    func settled() {
        state.withLock { $0.isOpenEnded = false }
    }

    /// The run has ended, and nothing of it is left.
    func end() throws {
        try Files.remove(path)
        try Files.sync(Files.folder(of: path))
    }
}
