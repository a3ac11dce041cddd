public import HostTools
public import Libvirt

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
    /// Other domains of the host whose XML names the same image.
    public var otherUsers: [String]
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
    /// - Throws: `LibvirtError` when the domain is gone; `XMLError` when its XML makes no sense.
    func read(_ id: DomainID, scratchFolder: String? = nil) async throws -> DomainInventory {
        let summary = try await connection.summary(of: id)
        let xml = try await connection.xml(of: id, [.inactive, .secure])
        let description = try DomainDescription(xml: xml)
        let users = try await usersOfImages(except: summary.id)
        var disks: [DiskInventory] = []
        for disk in description.disks {
            var inventory = await read(disk, isActive: summary.isActive, users: users)
            if summary.isActive { inventory.blockJob = try? await connection.blockJob(of: id, disk: disk.target)?.kind }
            disks.append(inventory)
        }
        return DomainInventory(
            summary: summary, xml: xml, description: description, disks: disks,
            lockProblem: RunLocks.objection(to: summary.id),
            startHook: StartHook.state(for: try await connection.uri()),
            overlayPlaces: await places(of: disks, scratchFolder))
    }

    private func places(of disks: [DiskInventory], _ scratchFolder: String?) async -> [String: OverlayPlace] {
        // Beside a disk QEMU's user was able to search: only a folder that the user names may be closed to it.
        let user = scratchFolder == nil ? nil : (try? await connection.capabilities()).flatMap(QemuUser.init)
        var places: [String: OverlayPlace] = [:]
        for disk in disks where disk.disk.device == .disk && disk.path != nil {
            let folder = OverlayPlace.folder(for: disk, scratchFolder: scratchFolder)
            if places[folder] == nil { places[folder] = OverlayPlace(folder, searchedBy: user) }
        }
        return places
    }

    private func read(_ disk: Disk, isActive: Bool, users: [FileIdentity: [String]]) async -> DiskInventory {
        var inventory = DiskInventory(
            disk: disk, path: disk.path, chain: [], check: nil, problem: nil, status: nil, otherUsers: [])
        guard disk.device == .disk else { return inventory }
        do {
            if case .volume(let pool, let name) = disk.source {
                inventory.path = try await connection.volumePath(pool: pool, volume: name)
            }
            guard let path = inventory.path else { return inventory }
            guard Files.exists(path) || OverlayName.disk(ofOverlay: path) == nil else {
                throw Self.goneOverlay(path)
            }
            let status = try FileStatus(of: path)
            inventory.status = status
            inventory.attributes = try FileAttributes(of: path)
            inventory.canBeLocked = ImageLock.isPossible(on: path)
            inventory.otherUsers = users[status.identity] ?? []
            inventory.chain = try await chain(path: path, format: disk.format)
            // QEMU could not read it to the end, and would say less well why.
            if let problem = RunLocks.objection(
                toDisk: disk.target, path: path, chain: inventory.chain.map(\.path))
            {
                inventory.lockProblem = problem
                return inventory
            }
            if !isActive {
                inventory.check = try await QemuImage(runner: runner).check(path: path, format: disk.format)
            }
        } catch {
            inventory.problem = Self.words(for: error, path: inventory.path)
        }
        return inventory
    }

    /// The image and everything below it. Each format is one that somebody wrote down: the XML for the first layer, the
    /// header of the layer above for the others.
    private func chain(path: String, format: String) async throws -> [ImageInfo] {
        var layers: [ImageInfo] = []
        var next: (path: String, format: String)? = (path, format)
        while let current = next {
            guard layers.count < 64, !layers.contains(where: { $0.path == current.path }) else {
                throw DomainProblem("\(current.path): the backing chain is a circle or has more than 64 layers")
            }
            let layer = try await QemuImage(runner: runner).info(path: current.path, format: current.format)
            layers.append(layer)
            next = nil
            if let backing = layer.backing {
                guard backing.path.hasPrefix("/") else {
                    throw DomainProblem("\(current.path): its backing file \(backing.path) is no file of this host")
                }
                guard let format = backing.format else {
                    throw DomainProblem(
                        "\(current.path): does not record the format of its backing file \(backing.path); record it "
                            + "with: qemu-img rebase -u -F FORMAT -b \(backing.path) \(current.path)")
                }
                guard (try? FileStatus(of: backing.path)) != nil else {
                    throw DomainProblem("\(current.path): its backing file \(backing.path) is missing")
                }
                next = (backing.path, format)
            }
        }
        return layers
    }

    /// Which domains name which image in their XML, as disk or as backing file, one domain excepted.
    func usersOfImages(except id: DomainID?) async throws -> [FileIdentity: [String]] {
        var users: [FileIdentity: [String]] = [:]
        for other in try await connection.listDomains() where other != id {
            // A domain that vanishes between the list and this line uses nothing.
            guard let xml = try? await connection.xml(of: other) else { continue }
            var identities = Set(try ImagePaths(xml: xml).paths.compactMap { try? FileStatus(of: $0).identity })
            // An inactive domain's XML doesn't name what is below its disks, and never what a pool's volume is.
            for disk in try DomainDescription(xml: xml).disks where disk.device == .disk || disk.device == .lun {
                var path = disk.path
                if case .volume(let pool, let name) = disk.source {
                    path = try? await connection.volumePath(pool: pool, volume: name)
                }
                guard let path else { continue }
                let layers = await paths(below: path, format: disk.format)
                identities.formUnion(([path] + layers).compactMap { try? FileStatus(of: $0).identity })
            }
            for identity in identities { users[identity, default: []].append(other.name) }
        }
        return users
    }

    /// Paths of the layers below an image of another domain. Hosts have thousands of domains: qemu-img is asked only where
    /// the headers alone don't tell.
    private func paths(below path: String, format: String) async -> [String] {
        guard format != "raw" else { return [] }
        var layers: [String] = []
        var next = path
        while layers.count < 64, let header = Qcow2Header(of: next) {
            guard let backing = header.backing else { return layers }
            guard backing.hasPrefix("/") || !backing.contains(":") else { break }
            next = backing.hasPrefix("/") ? backing : "\(Files.folder(of: next))/\(backing)"
            layers.append(next)
            if header.backingFormat == "raw" { return layers }
        }
        return layers + ((try? await chain(path: path, format: format))?.dropFirst().map(\.path) ?? [])
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
