import HostTools

/// What the journal of an interrupted run tells.
struct JournalRecord: Sendable {
    /// How far the run came with its disks.
    enum Progress: Hashable, Sendable {
        /// Neither a disk nor the domain's XML was touched.
        case begun
        /// The XML may name the overlays; the disks are untouched.
        case pointed
        /// The XML names the overlays, and the guest may run on them; the disks are untouched.
        case trying
        /// The disks may be half merged.
        case merging
        /// Everything is merged.
        case merged
        /// The disks are untouched, and the XML gets them back.
        case takingBack
    }

    let path: String
    let header: JournalHeader
    let progress: Progress
    let pointing: Pointing?
    /// Whether the guest was started on the overlays, or was about to be, to see whether it boots.
    let isTrial: Bool
    /// Who paused the guest that was about to continue on its disks; nil where it was not about to.
    let pivot: Suspension?
    /// Bytes of the whole lines, and their sum.
    let length: Int
    let sum: UInt32

    /// Every journal in a folder: what it tells, or why it can't be obeyed. A draft is of a run that had not begun.
    static func all(in folder: String) -> [(path: String, record: Result<JournalRecord, DomainProblem>)] {
        Files.entries(of: folder).filter { $0.hasSuffix(".journal") }.sorted().map { name in
            let path = "\(folder)/\(name)"
            return (path, Result { () throws(DomainProblem) in try JournalRecord(path: path) })
        }
    }

    /// The journal of an interrupted run on a domain; nil where there is none.
    static func find(_ uuid: String, in folder: String) throws(DomainProblem) -> JournalRecord? {
        let path = Journal.path(of: uuid, in: folder)
        return Files.exists(path) ? try JournalRecord(path: path) : nil
    }

    /// Reads a journal.
    ///
    /// - Throws: ``DomainProblem`` where it is damaged, from another machine, from a newer version, or not root's alone:
    ///   then nothing of it may be obeyed.
    init(path: String) throws(DomainProblem) {
        func problem(_ why: String) -> DomainProblem {
            DomainProblem(
                "\(path): this journal of an interrupted run is not obeyed: \(why). Look whether something of the run is "
                    + "left (virsh dumpxml: a disk's source ….virt-fsck-….qcow2; processes with VIRT_FSCK_RUN), then "
                    + "delete the journal")
        }
        guard let status = try? FileStatus(ofLink: path), status.kind == .regular, status.userID == 0,
            status.mode & 0o077 == 0
        else { throw problem("it is not a file of root's alone (mode 0600)") }
        guard let text = Files.content(of: path, limit: Self.sizeLimit), text.count < Self.sizeLimit else {
            throw problem("it can't be read, or has more than \(Self.sizeLimit) bytes")
        }
        let entries: [JournalEntry]
        do {
            (entries, length, sum) = try JournalText.entries(of: text)
        } catch {
            throw problem(error.description)
        }
        guard case .begin(let header) = entries.first else { throw problem("it doesn't begin with its header") }
        guard header.machine == Files.machineID else {
            throw problem("it is from another machine (machine id \(header.machine))")
        }
        guard path.hasSuffix("/\(FileName.safe(header.uuid)).journal"), RunFolders.isRunName(header.run) else {
            throw problem("it is not what its name says")
        }
        for overlay in header.overlays {
            let name = OverlayName.make(disk: overlay.disk, target: overlay.target, run: header.run)
            guard overlay.overlay.hasPrefix("/"), overlay.overlay.split(separator: "/").last == Substring(name) else {
                throw problem("\(overlay.overlay) is no overlay of its run")
            }
        }
        self.path = path
        self.header = header
        var progress = Progress.begun
        var pointing: Pointing?
        var pivot: Suspension?
        for entry in entries.dropFirst() {
            switch (entry, progress) {
            case (.point(let value), .begun):
                let known = Set(header.overlays.map(\.overlay))
                guard value.substitutions.allSatisfy({ known.contains($0.overlay) && value.disks[$0.target] != nil })
                else { throw problem("it points at an overlay that is not of its run") }
                pointing = value
                progress = .pointed
            case (.trial, .pointed): progress = .trying
            case (.merge, .pointed), (.merge, .trying), (.merge, .takingBack), (.merge, .merging): progress = .merging
            case (.merged, .merging): progress = .merged
            case (.takeBack, .pointed), (.takeBack, .trying), (.takeBack, .merging), (.takeBack, .takingBack):
                progress = .takingBack
            case (.pivot(let suspension), .merging), (.pivot(let suspension), .merged):
                pivot = pivot ?? suspension
            default: throw problem("its steps are in an order that no run has")
            }
        }
        self.progress = progress
        self.pointing = pointing
        isTrial = entries.contains(.trial)
        self.pivot = pivot
    }

    /// Whether a disk may hold something of the repair.
    var hasBegunToMerge: Bool { progress == .merging || progress == .merged }

    /// An XML and a chain for each disk fit many times.
    private static var sizeLimit: Int { 64 << 20 }
}
