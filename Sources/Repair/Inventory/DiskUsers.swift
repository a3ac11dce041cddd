import HostTools
import Libvirt

/// Everybody who uses disks of this host, as it stands now: its domains, and the host itself.
struct DiskUsers: Sendable {
    private let uses: DomainUses
    private let storage: HostStorage

    /// Looks at the host.
    ///
    /// - Throws: `LibvirtError`, ``DomainProblem`` where domains could not be asked.
    init(connection: Connection, runner: any CommandRunner) async throws {
        uses = try await DomainUsesReader(connection: connection, runner: runner).read()
        storage = HostStorage.read()
    }

    /// What could not be seen.
    var warnings: [String] { uses.warnings }

    /// Who uses a disk, beside the domain that it is a disk of.
    ///
    /// - Parameters:
    ///   - status: what `path` leads to.
    ///   - uuid: of the domain.
    ///   - target: the disk's name there.
    func users(of path: String, _ status: FileStatus, besides uuid: String, target: String) -> [DiskUser] {
        guard let node = StorageNode(status) else { return [] }
        return storage.uses(of: node, path: path).map(DiskUser.host)
            + uses.users(of: node, in: storage, besides: uuid, target: target)
    }
}
