import HostTools

/// Looks at the files that domains name, on a thread that may be given up: each may lie on a filesystem that never answers.
struct UsesLook {
    /// An image whose header we don't read ourselves.
    struct Unread: Sendable {
        var use: DomainUses.Use
        var path: String
        var format: String
    }

    /// What did not answer when it was looked at before.
    let silent: [Silence]
    let steps: Patience.Steps
    var uses = DomainUses()
    var unread: [Unread] = []

    private static let mostLinks = 16
    private static let mostLayers = 64

    /// Notes who uses a file, and everything that it names as an image.
    mutating func add(_ name: NamedFiles.Name, _ use: DomainUses.Use) {
        guard note(name.path, use) else { return }
        // What a raw disk holds is the guest's: nothing in it is a header.
        guard var format = name.format, format != "raw" else { return }
        var path = name.path
        for _ in 0..<Self.mostLayers {
            guard let header = Qcow2Header(of: path) else {
                let isUnclear = Qcow2Header.isThere(at: path) || !format.isEmpty && format != "qcow2"
                if isUnclear { unread.append(Unread(use: use, path: path, format: format.isEmpty ? "qcow2" : format)) }
                return
            }
            let folder = Files.folder(of: path)
            let named = [header.backing, header.dataFile].map { name -> String? in
                guard let name, name.hasPrefix("/") || !name.contains(":") else { return nil }
                return name.hasPrefix("/") ? name : "\(folder)/\(name)"
            }
            let isUnclear = zip([header.backing, header.dataFile], named).contains { name, path in
                path == nil && name.map { !Self.isRemote($0) } ?? false
            }
            if isUnclear {
                unread.append(Unread(use: use, path: path, format: "qcow2"))
            }
            if let data = named[1] { _ = note(data, use) }
            guard let next = named[0], note(next, use), header.backingFormat != "raw" else { return }
            path = next
            format = header.backingFormat ?? ""
        }
    }

    /// Whether a name is a server's, and no file here (QEMU: "Device URL Syntax"): who serves a file of ours has it open.
    private static func isRemote(_ name: String) -> Bool {
        let scheme = name.prefix { $0 != ":" }.prefix { $0 != "+" }
        return [
            "nbd", "rbd", "http", "https", "ftp", "ftps", "iscsi", "iser", "ssh", "gluster", "nfs", "vxhs", "sheepdog",
        ].contains(scheme)
    }

    /// - Returns: whether there is such a file or device, and it may be looked into.
    private mutating func note(_ path: String, _ use: DomainUses.Use) -> Bool {
        // A link is on another filesystem than what it leads to; what does not answer is named as what it is.
        var place = path
        for _ in 0..<Self.mostLinks {
            if let silence = silent.first(where: { $0.covers(place) }) {
                uses.warnings.append(
                    "\(use.domain): \(path): \(silence.reason); whether it uses the disk too could not be seen")
                return false
            }
            steps.begin(place)
            let target = Files.link(of: place)
            guard !target.isEmpty else { break }
            place = target.hasPrefix("/") ? target : "\(Files.folder(of: place))/\(target)"
        }
        // It would be something else in each process.
        guard HostPath.problem(path) == nil, let status = try? FileStatus(of: path), let node = StorageNode(status)
        else {
            return false
        }
        uses.uses[node, default: []].insert(use)
        return true
    }
}

/// A file that does not answer; its whole filesystem, where that does not either.
struct Silence: Sendable {
    let reason: String
    private let path: String

    init(_ error: Patience.Exhausted) async {
        let mountPoint = Files.mountPoint(of: error.subject)
        // The root's filesystem answers: otherwise nobody would be here.
        var isWhole = false
        if mountPoint != "/" {
            do {
                _ = try await Patience.run(limit: .seconds(2)) { steps in
                    steps.begin(mountPoint)
                    return try FilesystemStatus(of: mountPoint)
                }
            } catch {
                isWhole = error is Patience.Exhausted
            }
        }
        path = isWhole ? mountPoint : error.subject
        reason = "has not answered within \(error.limit.components.seconds) seconds"
    }

    func covers(_ other: String) -> Bool { other == path || other.hasPrefix(path + "/") }
}
