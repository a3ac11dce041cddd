import HostTools
import Libvirt

/// Everybody who uses disks of this host, as it stands now: its domains, and the host itself.
struct DiskUsers: Sendable {
    private let uses: DomainUses
    private let storage: HostStorage
    /// What could not be seen.
    let warnings: [String]

    /// Looks at the host.
    ///
    /// - Throws: `LibvirtError`, ``DomainProblem`` where domains could not be asked.
    init(connection: Connection, runner: any CommandRunner) async throws {
        uses = try await DomainUsesReader(connection: connection, runner: runner).read()
        // A loop device may lie on a file of a dead server.
        let (storage, silent) = try await Patience.passingOver(limit: Self.patience, \.subject) { silent, steps in
            HostStorage.read(besides: Set(silent)) { steps.begin($0) }
        }
        self.storage = storage
        warnings =
            uses.warnings
            + silent.sorted().map {
                "\($0): what it lies on has not answered; whether that is the disk could not be seen"
            }
    }

    /// Loop devices of other runs are among those that must answer, whose daemons may have a lot to do.
    private static let patience = Duration.seconds(20)

    /// Who uses a disk, beside the domain that it is a disk of.
    ///
    /// - Parameters:
    ///   - status: what `path` leads to.
    ///   - uuid: of the domain.
    ///   - target: the disk's name there.
    func users(of path: String, _ status: FileStatus, besides uuid: String, target: String) -> [DiskUser] {
        guard let node = StorageNode(status) else { return [] }
        return storage.uses(of: node, path: path, besides: uuid).map(DiskUser.host)
            + uses.users(of: node, in: storage, besides: uuid, target: target)
    }

    /// Who changes a layer below a disk of a domain.
    func writers(ofLayer path: String, _ status: FileStatus, besides uuid: String) -> [HostUse] {
        StorageNode(status).map { storage.writers(of: $0, path: path, besides: uuid) } ?? []
    }

    /// Looks once more, right before something is merged.
    ///
    /// - Parameters:
    ///   - disks: targets and paths.
    ///   - isPlanned: whether the domain names its disks as it did in the plan; an interrupted run's may have others by now.
    /// - Returns: why that must not be.
    /// - Throws: as ``init(connection:runner:)``; `Errno`.
    static func objection(
        to disks: [(target: String, path: String)], of uuid: String, isPlanned: Bool, _ connection: Connection,
        _ runner: any CommandRunner
    ) async throws -> String? {
        let users = try await DiskUsers(connection: connection, runner: runner)
        for disk in disks {
            let found = users.users(of: disk.path, try FileStatus(of: disk.path), besides: uuid, target: disk.target)
                .filter { if case .itself = $0 { isPlanned } else { true } }
            if let refusal = DiskUser.refusals(for: found, of: disk.target, path: disk.path).first { return refusal }
        }
        return nil
    }
}
