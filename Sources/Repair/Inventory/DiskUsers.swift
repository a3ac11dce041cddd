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
        let (storage, silent) = try await Self.storage()
        self.storage = storage
        warnings =
            uses.warnings
            + silent.sorted().map {
                "\($0): what it lies on has not answered; whether that is the disk could not be seen"
            }
    }

    /// Looks at the host's devices, and passes over those whose files don't answer: a loop device over a file of a dead server.
    private static func storage() async throws -> (HostStorage, silent: Set<String>) {
        var silent: Set<String> = []
        while true {
            do {
                let known = silent
                let storage = try await Patience.run(limit: patience) { steps in
                    HostStorage.read(besides: known) { steps.begin($0) }
                }
                return (storage, silent)
            } catch let error as Patience.Exhausted {
                guard silent.count < mostSilences else { throw error }
                silent.insert(error.subject)
            }
        }
    }

    /// Loop devices of other runs are among them, whose daemons may have a lot to do.
    private static let patience = Duration.seconds(20)
    private static let mostSilences = 16

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
