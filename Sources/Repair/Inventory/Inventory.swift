public import HostTools
public import Libvirt
import SystemPackage

/// A domain as it stands: state, XML, disks and who else uses them. Read-only and without an opinion.
public struct DomainInventory: Sendable {
    /// Which domain.
    public var summary: DomainSummary
    /// Its persistent XML with its secrets (`INACTIVE | SECURE`): what we edit and define again.
    public var xml: String
    /// What that XML says.
    public var description: DomainDescription
    /// Its disks in the XML's order.
    public var disks: [DiskInventory]
    /// Why another run keeps us from it; nil while none does.
    public var lockProblem: String?
    /// Whether libvirt's hook keeps it from being started.
    public var startHook = StartHook.active
    /// Why libvirt could not be given another XML of it; nil where it could.
    public var definitionProblem: String?
    /// What could not be seen, in words for the report.
    public var warnings: [String] = []
    /// The folders that its overlays may go into, by path.
    public var overlayPlaces: [String: OverlayPlace] = [:]

    /// Name and UUID.
    public var id: DomainID { summary.id }
}

/// A disk with what its image says of itself.
public struct DiskInventory: Sendable {
    /// What the XML says.
    public var disk: Disk
    /// The path of its image, a storage pool's volume resolved; nil where it has none on this host.
    public var path: String?
    /// The image and the layers below it, the disk's own first; empty where they could not be read.
    public var chain: [ImageInfo]
    /// What `qemu-img check` found; nil where it was not asked.
    public var check: ImageCheck?
    /// Why its image could not be read, in words for the report.
    public var problem: String?
    /// The file or device itself.
    public var status: FileStatus?
    /// What the layers below it are, as `chain` names them.
    public var layers: [FileStatus] = []
    /// Who else uses its bytes.
    public var users: [DiskUser] = []
    /// Who changes a layer below it.
    public var layerUsers: [(path: String, users: [HostUse])] = []
    /// Why the host can't write to it; nil where it can, or needs not.
    public var writeProblem: String?
    /// Whether its source is missing and the domain starts without it.
    public var isLeftOut = false
    /// Owner, mode and extended attributes of the file; nil where it has none.
    public var attributes: FileAttributes?
    /// Whether its file can be locked against QEMU.
    public var canBeLocked = true
    /// Why another run keeps us from its images; nil while none does.
    public var lockProblem: String?
    /// What libvirt does with the disk of an active domain; nil where it does nothing.
    public var blockJob: BlockJobKind?
    /// An overlay of ours that is there, and that a run before this one left in the XML.
    public var isOverlayOfOurs: Bool { status != nil && path.map(OverlayName.isOurs) ?? false }
}

/// Reads inventories from libvirt and qemu-img.
struct InventoryReader {
    let connection: Connection
    let runner: any CommandRunner

    /// Everything about one domain.
    ///
    /// - Parameter scratchFolder: where the user wants the overlays; nil puts each beside its disk.
    /// - Throws: `LibvirtError` when the domain is gone; `XMLError` when its XML makes no sense; ``DomainProblem`` where other
    ///   domains could not be asked what they use.
    func read(_ id: DomainID, scratchFolder: String? = nil) async throws -> DomainInventory {
        let summary = try await connection.summary(of: id)
        let xml = try await connection.xml(of: id, [.inactive, .secure])
        let description = try DomainDescription(xml: xml)
        let users = try await DiskUsers(connection: connection, runner: runner)
        var disks: [DiskInventory] = []
        for disk in description.disks {
            var inventory = await read(disk, isActive: summary.isActive)
            if summary.isActive { inventory.blockJob = try? await connection.blockJob(of: id, disk: disk.target)?.kind }
            if let path = inventory.path, let status = inventory.status {
                inventory.users = users.users(of: path, status, besides: summary.id.uuid, target: disk.target)
                for (layer, status) in zip(inventory.chain.dropFirst(), inventory.layers) {
                    let writers = users.writers(ofLayer: layer.path, status, besides: summary.id.uuid)
                    if !writers.isEmpty { inventory.layerUsers.append((layer.path, writers)) }
                }
            }
            disks.append(inventory)
        }
        return DomainInventory(
            summary: summary, xml: xml, description: description, disks: disks,
            lockProblem: RunLocks.objection(to: summary.id),
            startHook: StartHook.state(for: try await connection.uri()),
            definitionProblem: LibvirtConfiguration.writeProblem(of: description, named: id.name),
            warnings: users.warnings,
            overlayPlaces: await places(of: disks, scratchFolder))
    }

    private func places(of disks: [DiskInventory], _ scratchFolder: String?) async -> [String: OverlayPlace] {
        // Beside a disk QEMU's user was able to search: only a folder that the user names may be closed to it.
        let user = scratchFolder == nil ? nil : (try? await connection.capabilities()).flatMap(QemuUser.init)
        var places: [String: OverlayPlace] = [:]
        for disk in disks where disk.disk.device == .disk && disk.status != nil {
            let folder = OverlayPlace.folder(for: disk, scratchFolder: scratchFolder)
            if places[folder] == nil { places[folder] = OverlayPlace(folder, searchedBy: user) }
        }
        return places
    }

    private func read(_ disk: Disk, isActive: Bool) async -> DiskInventory {
        var inventory = DiskInventory(disk: disk, path: disk.path, chain: [], check: nil, problem: nil, status: nil)
        guard disk.device == .disk else { return inventory }
        do {
            if case .volume(let pool, let name) = disk.source {
                inventory.path = try await connection.volumePath(pool: pool, volume: name)
            }
            guard let path = inventory.path else { return inventory }
            let chain = BackingChain(runner: runner)
            guard let status = try await chain.status(of: path) else {
                inventory.isLeftOut = disk.isOptional
                guard OverlayName.disk(ofOverlay: path) == nil else { throw Self.goneOverlay(path) }
                throw DomainProblem("\(path): \(Errno.noSuchFileOrDirectory)")
            }
            guard StorageNode(status) != nil else {
                throw DomainProblem("\(path) is neither a file nor a block device")
            }
            inventory.status = status
            inventory.attributes = try FileAttributes(of: path)
            inventory.canBeLocked = ImageLock.isPossible(on: path)
            if !disk.isReadOnly { inventory.writeProblem = Files.writeProblem(path) }
            // What can't be repaired is not looked into.
            guard Plan.supportedFormats.contains(disk.format) else { return inventory }
            inventory.chain = try await chain.layers(below: path, format: disk.format, disk.backing)
            for layer in inventory.chain.dropFirst() { inventory.layers.append(try FileStatus(of: layer.path)) }
            // QEMU could not read it to the end, and would say less well why.
            if let problem = RunLocks.objection(
                toDisk: disk.target, path: path, chain: inventory.chain.map(\.path))
            {
                inventory.lockProblem = problem
                return inventory
            }
            if !isActive {
                inventory.check = try await QemuImage(runner: runner).check(
                    path: path, format: disk.format, opening: disk.backing == .header ? .chain : .imageAlone)
            }
        } catch let error as LibvirtError where disk.isOptional && error.code == .noStorageVolume {
            inventory.isLeftOut = true
            inventory.problem = error.description
        } catch {
            inventory.problem = Self.words(for: error, path: inventory.path)
        }
        return inventory
    }

    /// Who reads a domain's XML while it is repaired and defines it afterwards (an editor that was open all the time, a tool
    /// that deploys) gives it an overlay that has gone since.
    private static func goneOverlay(_ path: String) -> DomainProblem {
        let name = OverlayName.disk(ofOverlay: path) ?? ""
        let beside = "\(Files.folder(of: path))/\(name)"
        return DomainProblem(
            "\(path): was an overlay of virt-fsck's, which is gone since its repair was merged or thrown away; somebody defined "
                + "the domain again as it was meanwhile. Give it its disk back, \(Files.exists(beside) ? beside : name), with "
                + "its format: virsh edit")
    }

    private static func words(for error: any Error, path: String?) -> String {
        switch error {
        case let error as CommandError:
            switch error {
            case .failed(_, .exited, let complaint): return complaint.removingPrefix("qemu-img: ")
            case .failed(_, let status, _): return "qemu-img: \(status)"
            case .notFound, .broken: return error.description
            }
        default:
            let words = String(describing: error)
            return path.map { words.contains($0) ? words : "\($0): \(words)" } ?? words
        }
    }
}

extension String {
    func removingPrefix(_ prefix: String) -> String {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : self
    }
}
