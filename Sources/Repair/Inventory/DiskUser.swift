public import HostTools

/// Who else uses the bytes of a disk: a repair would change his, or he what is repaired.
public enum DiskUser: Hashable, Sendable {
    /// Another domain, by its name, with what the disk is to it: `vda`, `kernel`.
    case domain(String, role: String)
    /// The domain itself, once more, with what the disk is there.
    case itself(role: String)
    /// The host.
    case host(HostUse)
}

extension DiskUser {
    /// Why nothing may be written to a disk while these use it, each with the way out.
    static func refusals(for users: [DiskUser], of target: String, path: String) -> [String] {
        var refusals: [String] = []
        let uses = users.compactMap { user -> HostUse? in
            if case .host(let use) = user { use } else { nil }
        }
        if !uses.isEmpty {
            let ways = uses.compactMap(\.wayOut)
            refusals.append(
                "\(target): \(path) is in use on this host: \(uses.map(\.words).joined(separator: ", ")); a repair beneath it would "
                    + "be overwritten; end that first"
                    + (ways.isEmpty ? "" : ": \(ways.joined(separator: "; "))"))
        }
        let domains = users.compactMap { user -> String? in
            if case .domain(let name, let role) = user { "\(name) (\(role))" } else { nil }
        }
        if !domains.isEmpty {
            refusals.append(
                "\(target): \(path) is used by \(domains.joined(separator: ", ")) too; a repair would change that domain's disk"
            )
        }
        for case .itself(let role) in users {
            refusals.append(
                "\(target): \(path) is used by the domain once more, as \(role); a repair of one would break the other")
        }
        return refusals
    }
}

/// Which domain names which file or device of this host, whatever for.
struct DomainUses: Sendable {
    /// A domain's use of something.
    struct Use: Hashable, Sendable {
        var uuid: String
        var domain: String
        var role: String
        /// Whether it stands in the domain's definition, not in what it is now, or was (a snapshot, a managed save).
        var isDefined = true
    }

    /// By what is used; two paths to the same bytes may be two of these.
    var uses: [StorageNode: Set<Use>] = [:]
    /// What could not be looked at, and why that matters.
    var warnings: [String] = []

    /// Who uses a disk besides itself.
    ///
    /// - Parameters:
    ///   - uuid: of the disk's own domain.
    ///   - target: its name there.
    func users(of node: StorageNode, in storage: HostStorage, besides uuid: String, target: String) -> [DiskUser] {
        let found = storage.sharing(node).reduce(into: Set<Use>()) { $0.formUnion(uses[$1] ?? []) }
        let users = found.compactMap { use -> DiskUser? in
            guard use.uuid == uuid else { return .domain(use.domain, role: use.role) }
            // What it is now, or was, has the same disk by another name perhaps.
            return use.role == target || !use.isDefined ? nil : .itself(role: use.role)
        }
        return Set(users).sorted { "\($0)" < "\($1)" }
    }

    /// Names of the domains that use a file, by its identity.
    func domains(using file: FileIdentity) -> Set<String> { Set((uses[.file(file)] ?? []).map(\.domain)) }
}
