import HostTools
import LibXML
import Libvirt

/// Finds out which domain uses what, from every XML that libvirt has of it: what it is now, what it will be at its next start,
/// and what its snapshots remember.
struct DomainUsesReader {
    let connection: Connection
    let runner: any CommandRunner

    /// A domain with all that its XMLs name.
    private struct Named: Sendable {
        var id: DomainID
        var names: Set<NamedFiles.Name>
    }

    /// Reads every domain of the host.
    ///
    /// - Throws: `LibvirtError`, ``DomainProblem``: what could not be asked is not taken for nothing.
    func read() async throws -> DomainUses {
        let named = try await domains()
        let (found, unread) = try await Self.look(at: named)
        var uses = found
        for image in unread { await add(image, to: &uses) }
        return uses
    }

    private func domains() async throws -> [Named] {
        let active = Set(try await connection.listDomains(.active))
        let withSnapshots = Set(try await connection.listDomains(.withSnapshots))
        var pools = PoolPaths(connection: connection)
        var domains: [Named] = []
        for id in try await connection.listDomains() {
            var xmls: [String] = []
            do throws(LibvirtError) {
                xmls.append(try await connection.xml(of: id, .inactive))
                if active.contains(id) { xmls.append(try await connection.xml(of: id)) }
                if withSnapshots.contains(id) { xmls += try await connection.snapshotXMLs(of: id) }
            } catch {
                // One that vanishes meanwhile uses nothing.
                guard error.code == .noDomain else {
                    throw DomainProblem("\(id.name): whether it uses the disk could not be asked: \(error.message)")
                }
                continue
            }
            var named = Named(id: id, names: [])
            for xml in xmls {
                let files: NamedFiles
                do {
                    files = try NamedFiles(xml: xml)
                } catch {
                    throw DomainProblem("\(id.name): whether it uses the disk can't be told: its XML: \(error)")
                }
                named.names.formUnion(files.names)
                for volume in files.volumes {
                    guard let path = try await pools.path(of: volume) else { continue }
                    named.names.insert(NamedFiles.Name(path: path, role: volume.role, format: volume.format))
                }
            }
            domains.append(named)
        }
        return domains
    }

    /// An image whose header we don't read ourselves.
    private struct Unread: Sendable {
        var use: DomainUses.Use
        var path: String
        var format: String
    }

    /// Looks at everything that is named, and at what the images' headers name. A file that does not answer can't be one of
    /// ours, which did; what else lies on its filesystem is not waited for once more.
    private static func look(at domains: [Named]) async throws -> (DomainUses, [Unread]) {
        var silent: [Silence] = []
        while true {
            do {
                let known = silent
                return try await Patience.run(limit: patience) { steps in
                    var uses = DomainUses()
                    var unread: [Unread] = []
                    for domain in domains {
                        for name in domain.names {
                            if let silence = known.first(where: { $0.covers(name.path) }) {
                                uses.warnings.append(
                                    "\(domain.id.name): \(name.path): \(silence.reason); whether it uses the disk too could not "
                                        + "be seen")
                                continue
                            }
                            let use = DomainUses.Use(uuid: domain.id.uuid, domain: domain.id.name, role: name.role)
                            look(at: name, of: use, steps, &uses.uses, &unread)
                        }
                    }
                    uses.warnings = Set(uses.warnings).sorted()
                    return (uses, unread)
                }
            } catch let error as Patience.Exhausted {
                guard silent.count < mostSilences else { throw error }
                silent.append(Silence(error))
            }
        }
    }

    private static let patience = Duration.seconds(5)
    private static let mostSilences = 16

    /// A filesystem that does not answer, or a single file of one.
    private struct Silence {
        let reason: String
        private let path: String

        init(_ error: Patience.Exhausted) {
            let mountPoint = Files.mountPoint(of: error.subject)
            // A link may lead anywhere: the root's filesystem answers.
            path = mountPoint == "/" ? error.subject : mountPoint
            reason = "has not answered within \(error.limit.components.seconds) seconds"
        }

        func covers(_ other: String) -> Bool { other == path || other.hasPrefix(path + "/") }
    }

    private static func look(
        at name: NamedFiles.Name, of use: DomainUses.Use, _ steps: Patience.Steps,
        _ found: inout [StorageNode: Set<DomainUses.Use>], _ unread: inout [Unread]
    ) {
        steps.begin(name.path)
        guard let status = try? FileStatus(of: name.path), let node = StorageNode(status) else { return }
        found[node, default: []].insert(use)
        // What a raw disk holds is the guest's: nothing in it is a header.
        guard var format = name.format, format != "raw" else { return }
        var path = name.path
        for _ in 0..<64 {
            steps.begin(path)
            guard let header = Qcow2Header(of: path) else {
                if !format.isEmpty, format != "qcow2" { unread.append(Unread(use: use, path: path, format: format)) }
                return
            }
            let named = [header.backing, header.dataFile].map { name -> String? in
                guard let name, name.hasPrefix("/") || !name.contains(":") else { return nil }
                return name.hasPrefix("/") ? name : "\(Files.folder(of: path))/\(name)"
            }
            if header.backing?.contains(":") == true, named[0] == nil {
                unread.append(Unread(use: use, path: path, format: "qcow2"))
            }
            for inner in named.compactMap({ $0 }) {
                steps.begin(inner)
                guard let status = try? FileStatus(of: inner), let node = StorageNode(status) else { continue }
                found[node, default: []].insert(use)
            }
            guard let next = named[0], header.backingFormat != "raw" else { return }
            path = next
            format = header.backingFormat ?? ""
        }
    }

    /// Asks qemu-img what an image needs besides itself: names in JSON, and formats other than qcow2. One that QEMU can't open
    /// either uses nothing.
    private func add(_ image: Unread, to uses: inout DomainUses) async {
        let command = Command(
            "qemu-img", "info", "--force-share", "--backing-chain", "--output=json", "-f", image.format, image.path,
            timeout: .seconds(10))
        guard let result = try? await runner.run(command) else { return }
        guard result.isSuccess, let json = try? JSONValue(parsing: result.output) else {
            if case .exited = result.status { return }
            uses.warnings.append(
                "\(image.use.domain): \(image.path): qemu-img \(result.status); whether it uses the disk too could not be seen"
            )
            return
        }
        for path in json.absolutePaths {
            guard let status = try? FileStatus(of: path), let node = StorageNode(status) else { continue }
            uses.uses[node, default: []].insert(image.use)
        }
    }
}
