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
        /// Those of its definition.
        var names: Set<NamedFiles.Name> = []
        /// Those of all else that libvirt has of it.
        var otherNames: Set<NamedFiles.Name> = []
        /// What could not be looked at, and why that matters.
        var warnings: [String] = []
    }

    /// Reads every domain of the host.
    ///
    /// - Throws: `LibvirtError`, ``DomainProblem``: what could not be asked is not taken for nothing.
    func read() async throws -> DomainUses {
        let named = try await domains()
        let (found, unread) = try await Self.look(at: named)
        var uses = found
        uses.warnings += named.flatMap(\.warnings)
        let deadline = ContinuousClock.now + Self.limit
        for image in unread {
            let left = deadline - .now
            guard left > .zero else {
                uses.warnings.append(
                    "\(image.use.domain): \(image.path): not looked into: others took \(Self.limit.components.seconds) seconds; whether "
                        + "it uses the disk too could not be seen")
                continue
            }
            await add(image, to: &uses, within: min(left, .seconds(5)))
        }
        return uses
    }

    private func domains() async throws -> [Named] {
        let active = Set(try await connection.listDomains(.active))
        let withSnapshots = Set(try await connection.listDomains(.withSnapshots))
        let saved = Set(try await connection.listDomains(.withManagedSave))
        var pools = PoolPaths(connection: connection)
        var domains: [Named] = []
        for id in try await connection.listDomains() {
            var xmls: [String] = []
            var warnings: [String] = []
            do throws(LibvirtError) {
                xmls.append(try await connection.xml(of: id, .inactive))
                if active.contains(id) { xmls.append(try await connection.xml(of: id)) }
                // Its next start takes the disks that were its own when it was saved.
                if saved.contains(id) {
                    do throws(LibvirtError) {
                        xmls.append(try await connection.managedSaveXML(of: id))
                    } catch {
                        // A torn save of one domain holds up no other.
                        warnings.append(
                            "\(id.name): its managed save can't be read (\(error.message)); whether it uses the disk too could "
                                + "not be seen")
                    }
                }
                if withSnapshots.contains(id) { xmls += try await connection.snapshotXMLs(of: id) }
            } catch {
                // One that vanishes meanwhile uses nothing.
                guard error.code == .noDomain else {
                    throw DomainProblem("\(id.name): whether it uses the disk could not be asked: \(error.message)")
                }
                continue
            }
            var named = Named(id: id, warnings: warnings)
            for (index, xml) in xmls.enumerated() {
                let files: NamedFiles
                do {
                    files = try NamedFiles(xml: xml)
                } catch {
                    throw DomainProblem("\(id.name): whether it uses the disk can't be told: its XML: \(error)")
                }
                var names = files.names
                for part in files.hostDevices {
                    let paths = HostStorage.blockDevices(below: part)
                    names.formUnion(paths.map { NamedFiles.Name(path: $0, role: "hostdev") })
                }
                for volume in files.volumes {
                    guard let path = try await pools.path(of: volume) else { continue }
                    names.insert(NamedFiles.Name(path: path, role: volume.role, format: volume.format))
                }
                if files.readsConfiguration {
                    named.warnings.append(
                        "\(id.name): its command line has -readconfig; whether it uses the disk too could not be seen")
                }
                if index == 0 { named.names = names } else { named.otherNames.formUnion(names) }
            }
            domains.append(named)
        }
        return domains
    }

    /// Looks at everything that is named, and at what the images' headers name. A file that does not answer can't be one of
    /// ours, which did; what else lies on its filesystem is not waited for once more.
    private static func look(at domains: [Named]) async throws -> (DomainUses, [UsesLook.Unread]) {
        let (look, _) = try await Patience.passingOver(limit: patience, Silence.init) { silent, steps in
            var look = UsesLook(silent: silent, steps: steps)
            for domain in domains {
                for (names, isDefined) in [(domain.names, true), (domain.otherNames.subtracting(domain.names), false)] {
                    for name in names {
                        look.add(
                            name,
                            DomainUses.Use(
                                uuid: domain.id.uuid, domain: domain.id.name, role: name.role, isDefined: isDefined))
                    }
                }
            }
            look.uses.warnings = Set(look.uses.warnings).sorted()
            return look
        }
        return (look.uses, look.unread)
    }

    private static let patience = Duration.seconds(5)
    /// For all images together that qemu-img is asked about: a host may have hundreds over one dead server.
    private static let limit = Duration.seconds(15)

    /// Asks qemu-img what an image needs besides itself: names in JSON, and formats other than qcow2. One that QEMU can't open
    /// either uses nothing.
    private func add(
        _ image: UsesLook.Unread, to uses: inout DomainUses, within timeout: Duration
    ) async {
        let command = Command(
            "qemu-img", "info", "--force-share", "--backing-chain", "--output=json", "-f", image.format, image.path,
            timeout: timeout)
        guard let result = try? await runner.run(command) else { return }
        guard result.isSuccess, let json = try? JSONValue(parsing: result.output) else {
            if case .exited = result.status { return }
            uses.warnings.append(
                "\(image.use.domain): \(image.path): qemu-img \(result.status); whether it uses the disk too could not be seen"
            )
            return
        }
        let paths = json.absolutePaths
        let nodes = try? await Patience.run(limit: Self.patience) { steps in
            paths.compactMap { path -> StorageNode? in
                steps.begin(path)
                return (try? FileStatus(of: path)).flatMap(StorageNode.init)
            }
        }
        guard let nodes else {
            uses.warnings.append(
                "\(image.use.domain): \(image.path): what it names has not answered; whether it uses the disk too could not be seen"
            )
            return
        }
        for node in nodes { uses.uses[node, default: []].insert(image.use) }
    }
}
