import HostTools

/// A step of a run that outlives a power cut. Each is on the disk before it is done.
enum JournalEntry: Hashable, Sendable, Codable {
    /// From here on files of the run may be on the disk, and its devices and processes on the host.
    case begin(JournalHeader)
    /// From here on the domain's XML may name the overlays, which hold a proven repair.
    case point(Pointing)
    /// From here on the guest may have been started on the overlays, to see whether it boots. The domain's XML names them; what
    /// is to become of them is decided by that, or by the user.
    case trial
    /// From here on a disk may be half merged. The domain's XML names the overlays.
    case merge
    /// Everything is merged, and on the disks. From here on the XML may name the disks again.
    case merged
    /// Nothing was merged, and nothing will be: the XML is given the disks back.
    case takeBack
    /// The running guest is about to continue on its disks, into which everything is merged.
    case pivot(Suspension)
}

/// Whether we stop a running guest for a moment.
enum Suspension: String, Hashable, Sendable, Codable {
    /// It runs, and shall run again.
    case ours
    /// It was paused before.
    case others
}

/// What a run is, and where it may leave files.
struct JournalHeader: Hashable, Sendable, Codable {
    /// Where an overlay may be.
    struct Overlay: Hashable, Sendable, Codable {
        var target: String
        var disk: String
        var overlay: String
    }

    /// Version of the journal's shape that this program writes and reads.
    static let format = 1

    var format = JournalHeader.format
    /// Names the run: whatever it makes carries it.
    var run: String
    /// The machine's id (machine-id(5)).
    var machine: String
    /// URI of the libvirt connection.
    var connection: String
    var domain: String
    var uuid: String
    /// UTC, as `20260131T235959Z`.
    var startedAt: String
    /// Folder of the run's logs.
    var log: String
    var overlays: [Overlay]
}

/// How the domain was pointed at its overlays, and all that it takes to merge them and to point it back.
struct Pointing: Hashable, Sendable, Codable {
    /// A disk as it was before anything was merged into it.
    struct DiskMark: Hashable, Sendable, Codable {
        var inode: UInt64
        /// Bytes that the guest sees.
        var size: UInt64
        /// Last change of its content, in nanoseconds since 1970.
        var modified: Int64
        /// Owner, mode, ACL and label.
        var attributes: FileAttributes
    }

    var substitutions: [DomainXMLEdit.Substitution]
    /// By target.
    var disks: [String: DiskMark]
    /// The domain's XML with its secrets, from before.
    var xml: String
}

extension Pointing {
    /// Describes the disks as they are now.
    ///
    /// - Parameter attributes: what the disks had when they were planned, by target: somebody may have tried to start the
    ///   domain since.
    init(
        _ substitutions: [DomainXMLEdit.Substitution], xml: String, attributes: [String: FileAttributes]
    ) throws {
        self.init(substitutions: substitutions, disks: [:], xml: xml)
        for substitution in substitutions {
            let status = try FileStatus(of: substitution.disk)
            disks[substitution.target] = DiskMark(
                inode: status.identity.inode, size: substitution.chain.first?.virtualSize ?? 0,
                modified: status.modified,
                attributes: try attributes[substitution.target] ?? FileAttributes(of: substitution.disk))
        }
    }

    /// Gives each disk the owner, mode and extended attributes that it had: libvirt changes them when somebody tries to start
    /// the domain.
    func restoreAttributes() throws {
        for substitution in substitutions {
            try disks[substitution.target]?.attributes.restore(substitution.disk)
        }
    }
}
