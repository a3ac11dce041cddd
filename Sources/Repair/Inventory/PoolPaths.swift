import HostTools
import LibXML
import Libvirt

/// Where the volumes of storage pools are on this host, also those of pools that are not active or not up to date: a domain uses them all the same
/// as soon as the pool is.
struct PoolPaths {
    let connection: Connection
    /// The folder of each inactive pool's volumes; nil for one that has none.
    private var folders: [String: String?] = [:]

    init(connection: Connection) {
        self.connection = connection
    }

    /// The path of a volume; nil where it can have none here: no such pool or volume, or one on another machine.
    ///
    /// - Throws: ``DomainProblem`` where libvirt could not be asked.
    mutating func path(of volume: NamedFiles.Volume) async throws -> String? {
        do throws(LibvirtError) {
            return try await connection.volumePath(pool: volume.pool, volume: volume.name)
        } catch {
            switch error.code {
            case .noStoragePool: return nil
            // Not active; or not refreshed since the volume came.
            case .operationInvalid, .noStorageVolume: break
            default:
                throw DomainProblem(
                    "pool \(volume.pool): where its volume \(volume.name) is could not be asked: \(error.message)")
            }
        }
        let folder: String?
        if let known = folders[volume.pool] {
            folder = known
        } else {
            folder = try await self.folder(ofPool: volume.pool)
            folders[volume.pool] = .some(folder)
        }
        return folder.map { "\($0)/\(volume.name)" }
    }

    /// libvirt: formatstorage, "Target elements"; volumes of pools on other machines have no path, and those of iSCSI and SCSI
    /// pools are no device while the pool is not active.
    private func folder(ofPool name: String) async throws -> String? {
        let xml: String
        do throws(LibvirtError) {
            xml = try await connection.poolXML(name)
        } catch {
            guard error.code == .noStoragePool else {
                throw DomainProblem("pool \(name): where its volumes are could not be asked: \(error.message)")
            }
            return nil
        }
        let document = try Document(xml)
        let source = try document.value(of: "string(/pool/source/name)")
        let target = try document.value(of: "string(/pool/target/path)")
        switch try document.value(of: "string(/pool/@type)") {
        case "zfs": return "/dev/zvol/\(source)"
        case "logical": return target.isEmpty ? "/dev/\(source)" : target
        case "iscsi", "scsi": return nil
        default: return target.isEmpty ? nil : target
        }
    }
}
