import FoundationEssentials
import HostTools
import Libvirt
import Synchronization

/// Keeps other runs from a domain, and from the images that a run works with.
///
/// A domain and each disk that is attached are this run's alone. The layers below may be others' too, as long as nobody
/// repairs them: two clones of one template can be repaired at once, the template meanwhile not.
final class RunLocks: Sendable {
    /// Where the lock files are: a reboot empties it, and the locks are gone with it.
    static let folder = "/run/virt-fsck"

    private let domain: DomainID
    private let folder: String
    private let held: Mutex<[String: FileLock]>

    /// Takes the lock of a domain.
    ///
    /// - Throws: ``DomainProblem`` that says who has it.
    init(domain: DomainID, folder: String = RunLocks.folder) throws {
        self.domain = domain
        self.folder = folder
        held = Mutex([:])
        try Files.makeFolder(folder)
        let path = Self.path(of: domain, in: folder)
        guard let lock = try FileLock.take(path, note: Self.now) else {
            throw DomainProblem(Self.words(domain.name, FileLock.holders(of: path) ?? []), kind: .refusal)
        }
        held.withLock { $0[path] = lock }
    }

    /// Takes the locks of a plan's images, beside those that it has already.
    ///
    /// - Throws: ``DomainProblem`` that says who has one.
    func cover(_ plan: Plan) throws {
        try cover(plan.attached.map { ($0.target, $0.path, $0.chain.map(\.path)) })
    }

    private func cover(_ disks: [(target: String, path: String, chain: [String])]) throws {
        let wanted = try ImageUse.of(disks)
        // Always in the same order: of two runs that want the same images one gets all of them.
        for use in wanted.sorted(by: { $0.name < $1.name }) {
            let path = "\(folder)/\(use.name)"
            if held.withLock({ $0[path] != nil }) { continue }
            guard let lock = try FileLock.take(path, use.sharing, note: "\(Self.now), for \(domain.name)") else {
                throw DomainProblem(
                    Self.words("\(use.target): \(use.path)", FileLock.holders(of: path, against: use.sharing) ?? []),
                    kind: .refusal)
            }
            held.withLock { $0[path] = lock }
        }
    }

    /// Takes the locks of the images that an interrupted run worked with, as far as they are there.
    ///
    /// - Throws: ``DomainProblem`` that says who has one.
    func cover(_ record: JournalRecord) throws {
        let chains = Dictionary(
            (record.pointing?.substitutions ?? []).map { ($0.target, $0.chain.map(\.path)) }, uniquingKeysWith: { $1 })
        try cover(
            record.header.overlays.filter { Files.exists($0.disk) }.map { overlay in
                (overlay.target, overlay.disk, (chains[overlay.target] ?? []).filter(Files.exists))
            })
    }

    /// Gives all of them back.
    func release() {
        let locks = held.withLock { held in
            defer { held = [:] }
            return Array(held.values)
        }
        for lock in locks { lock.release() }
    }

    /// Who else works on a domain, in words for the report; nil while nobody does.
    static func objection(to domain: DomainID, in folder: String = RunLocks.folder) -> String? {
        objection(domain.name, path(of: domain, in: folder), .exclusive)
    }

    /// Who else works with a disk's image or a layer below it; nil while nobody does.
    ///
    /// - Parameters:
    ///   - target: the guest's name of the disk.
    ///   - path: of its image.
    ///   - chain: paths of its image and the layers below it, as far as they are known.
    static func objection(
        toDisk target: String, path: String, chain: [String], in folder: String = RunLocks.folder
    ) -> String? {
        guard let uses = try? ImageUse.of([(target, path, chain)]) else { return nil }
        for use in uses {
            if let words = objection("\(target): \(use.path)", "\(folder)/\(use.name)", use.sharing) { return words }
        }
        return nil
    }

    private static func objection(_ subject: String, _ path: String, _ sharing: FileLock.Sharing) -> String? {
        guard let holders = FileLock.holders(of: path, against: sharing) else { return nil }
        // A run that plans once more has its own locks already.
        guard !holders.contains(where: { $0.pid == Files.processID }) else { return nil }
        return words(subject, holders)
    }

    private static func path(of domain: DomainID, in folder: String) -> String {
        "\(folder)/\(FileName.safe(domain.uuid)).lock"
    }

    private static func words(_ subject: String, _ holders: [FileLock.Holder]) -> String {
        let who = holders.map { "virt-fsck (pid \($0.pid), since \($0.note))" }.joined(separator: " and ")
        let verb = holders.count > 1 ? "are" : "is"
        return "\(subject): \(who.isEmpty ? "another virt-fsck" : who) \(verb) working on it; wait until that has ended"
    }

    private static var now: String {
        let style = Date.ISO8601FormatStyle(dateTimeSeparator: .space)
        return style.format(.now).filter { $0 != "Z" } + " UTC"
    }
}

/// How a run uses one image.
struct ImageUse: Hashable {
    /// The guest's name of a disk over it.
    let target: String
    let path: String
    /// Name of its lock file, the same whatever path leads to the image.
    let name: String
    let sharing: FileLock.Sharing

    /// What disks use, each image once.
    ///
    /// - Parameter disks: target, path, and the paths of the image and the layers below it.
    /// - Throws: ``DomainProblem`` where one is gone.
    static func of(_ disks: [(target: String, path: String, chain: [String])]) throws -> [ImageUse] {
        var uses: [String: ImageUse] = [:]
        for disk in disks {
            let use = try ImageUse(disk.target, disk.path, .exclusive)
            uses[use.name] = use
        }
        for disk in disks {
            for layer in disk.chain.dropFirst() {
                let use = try ImageUse(disk.target, layer, .shared)
                if uses[use.name] == nil { uses[use.name] = use }
            }
        }
        return Array(uses.values)
    }

    private init(_ target: String, _ path: String, _ sharing: FileLock.Sharing) throws {
        let status: FileStatus
        do {
            status = try FileStatus(of: path)
        } catch {
            throw DomainProblem("\(target): \(path): \(error)")
        }
        self.target = target
        self.path = path
        self.sharing = sharing
        // A block device has many nodes, and a loop device is its file.
        name =
            switch StorageNode(status)?.base {
            case .device(let number): "image-block-\(number).lock"
            case .file(let file): "image-\(file.device)-\(file.inode).lock"
            case nil: throw DomainProblem("\(target): \(path) is neither a file nor a block device")
            }
    }
}
