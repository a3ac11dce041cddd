import Foundation
import TestSupport
import Testing

/// A domain with real damage on its disks, and what they may hold after a fault.
struct Patient: Sendable {
    /// What the domain's disks are.
    enum Kind: String, CaseIterable, CustomTestStringConvertible, Sendable {
        case qcow2
        case raw
        /// A striped logical volume over a qcow2 image and a raw one.
        case twoDisks

        var testDescription: String { rawValue }

        /// - Parameter guest: one that needs room for a boot sector; nil for none.
        fileprivate func makeDisks(for guest: Guest?, in folder: String) async throws -> DiskSet {
            let size = Filesystem.ext4.size
            guard let guest else {
                guard self == .raw else { return try await DiskSet.make(layout, size: size, in: folder) }
                // With a clean filesystem beside, whose bytes are restored before the merge.
                let set = try await DiskSet.makeRecipe(boot: size, root: size, swap: 4 << 20, in: folder)
                try await Filesystem.ext4.make(at: "\(folder)/clean", size: size)
                try set.embed("\(folder)/clean", in: try set.volume("vda1"))
                try DiskSet.createSparse("\(folder)/swap", size: 4 << 20)
                try await Tool.output(of: "mkswap", ["\(folder)/swap"])
                try set.embed("\(folder)/swap", in: try set.volume("VolGroup00/LogVol01"))
                return set
            }
            let set =
                switch self {
                case .qcow2, .raw: try await DiskSet.make(layout, size: size, in: folder)
                case .twoDisks: try await DiskSet.makeStripedPartitions(size: size, in: folder)
                }
            try CountingSector.install(saying: guest.words, on: set.paths[0])
            return set
        }

        fileprivate var formats: [String] {
            switch self {
            case .qcow2: ["qcow2"]
            case .raw: ["raw"]
            case .twoDisks: ["qcow2", "raw"]
            }
        }

        fileprivate var layout: DiskSet.Layout {
            switch self {
            case .qcow2: .mbrPrimary
            case .raw: .gpt512
            case .twoDisks: .lvmStriped
            }
        }
    }

    /// What runs in a domain that is started, and counts on its disks (``CountingSector``).
    enum Guest: String, CaseIterable, CustomTestStringConvertible, Sendable {
        /// It says that it is up.
        case boots
        /// It says that it can't.
        case panics
        /// It says nothing of either.
        case silent

        var testDescription: String { rawValue }

        fileprivate var words: String {
            switch self {
            case .boots: "\r\ntest login: "
            case .panics: "\r\nKernel panic - not syncing: x\r\n"
            case .silent: ""
            }
        }
    }

    /// What the guest would see on its disks, its own number aside.
    enum State: Hashable, CustomStringConvertible, Sendable {
        /// Bit for bit the damaged original.
        case original
        /// Bit for bit what the bare checker makes of it.
        case repaired
        /// What must never be.
        case neither(String)

        var description: String {
            switch self {
            case .original: "the original"
            case .repaired: "the repair"
            case .neither(let why): "neither the original nor the repair: \(why)"
            }
        }
    }

    let shop: Workshop
    /// The images, in the order of their targets.
    let images: [String]
    /// The domain's UUID.
    let uuid: String
    /// The domain as it is defined.
    let xml: String
    /// libvirt's own file of it.
    let definition: (path: String, text: String)

    /// nil where the domain has nothing to boot.
    let guest: Guest?
    /// Whether its guest writes to its disks while it runs.
    var isCounting: Bool { guest != nil }
    private let damaged: DiskSet
    private let volume: DiskSet.Volume
    private var stock: String { "\(shop.folder)/stock" }

    /// Makes the disks and defines the domain.
    static func make(_ kind: Kind, in shop: Workshop, _ guest: Guest? = nil) async throws -> Patient {
        let set = try await kind.makeDisks(for: guest, in: shop.folder)
        let names = set.volumes.map(\.name)
        let volume = try set.volume(["guest/root", "VolGroup00/LogVol00"].first(where: names.contains) ?? names[0])
        let file = "\(shop.folder)/fs"
        try await Filesystem.ext4.make(at: file, size: volume.size)
        try await Filesystem.ext4.damage(file)
        try set.embed(file, in: volume)
        var images: [String] = []
        var elements: [String] = []
        for (format, (target, raw)) in zip(kind.formats, zip(["vda", "vdb"], set.paths)) {
            let image = "\(shop.disks)/\(target).\(format)"
            try await (format == "raw" ? Storage.raw : .qcow2).make(image, from: raw, over: nil)
            images.append(image)
            // The firmware lets a guest write only to disks that it could be booted from.
            let body = guest == nil ? "" : "<boot order='\(images.count)'/>"
            elements.append(Workshop.disk(image, format: format, target: target, body: body))
        }
        if guest != nil { elements.append("<serial type='pty'/>") }
        try await shop.define(elements)
        let definition = "\(PrivateLibvirt.shared.definitions)/\(shop.name).xml"
        let patient = Patient(
            shop: shop, images: images,
            uuid: try await PrivateLibvirt.shared.virsh("domuuid", shop.name)
                .trimmingCharacters(in: .whitespacesAndNewlines),
            xml: try await shop.xml(),
            definition: (definition, try String(contentsOfFile: definition, encoding: .utf8)),
            guest: guest, damaged: set, volume: volume)
        try await Tool.output(of: "cp", ["-a", shop.disks, patient.stock])
        return patient
    }

    /// Gives the domain its damaged disks again, and its XML where that has changed.
    func reset() async throws {
        if try await shop.xml() != xml { try await define() }
        for image in images {
            let file = image.split(separator: "/").last ?? ""
            try await Tool.output(of: "cp", ["-a", "\(stock)/\(file)", image])
        }
    }

    /// Defines the domain anew.
    ///
    /// - Parameter other: an XML; nil for that with its damaged disks.
    func define(_ other: String? = nil) async throws {
        let file = "\(shop.folder)/again.xml"
        try (other ?? xml).write(toFile: file, atomically: true, encoding: .utf8)
        try await PrivateLibvirt.shared.virsh("define", file)
    }

    /// Where the journal of an interrupted run on the domain is.
    var journal: String { "/var/lib/virt-fsck/journal/\(uuid).journal" }

    /// What the disks are, from the raw content that the guest would see.
    ///
    /// - Parameter views: a file for each disk, as ``GuestView`` makes them; they lose the guest's number.
    func state(of views: [String]) async throws -> State {
        guard views.count == images.count else { return .neither("\(views.count) disks") }
        if isCounting { for view in views { try CountingSector.erase(on: view) } }
        if try await isSame(damaged, views) { return .original }
        let folder = "\(shop.folder)/compare-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var seen = damaged
        seen.paths = views
        let found = "\(folder)/found"
        try seen.extract(volume, to: found)
        guard try await Filesystem.ext4.isSound(found) else { return .neither("e2fsck finds errors") }
        let bare = "\(folder)/bare"
        try damaged.extract(volume, to: bare)
        try await Filesystem.ext4.repairBare(bare, clockOf: found)
        var expected = damaged
        expected.paths = try await damaged.paths.enumerated().asyncMap { number, path in
            let copy = "\(folder)/expected\(number)"
            try await Tool.output(of: "cp", ["--sparse=always", path, copy])
            return copy
        }
        try expected.embed(bare, in: volume)
        return try await isSame(expected, views) ? .repaired : .neither("not what the bare checker makes of it")
    }

    /// What the runs have left on the host, once everything had its time to end.
    func leftovers() async throws -> [String] {
        var left: [String] = []
        _ = try await eventually {
            left = try await HostState.leftovers(ofRuns: HostState.runs(onDomain: shop.name), in: shop.folder)
            left += HostState.leftovers(ofDomain: uuid)
            return left.isEmpty
        }
        return left.map { "left: \($0)" }
    }

    /// What is not as it was before the run, the disks' content aside.
    func changes() async throws -> [String] {
        var changes: [String] = []
        let before = xml.split(separator: "\n")
        let now = try await shop.xml().split(separator: "\n")
        for change in now.difference(from: before) {
            switch change {
            case .insert(_, let line, _): changes.append("the domain's XML has now \(line)")
            case .remove(_, let line, _): changes.append("the domain's XML has no longer \(line)")
            }
        }
        if try String(contentsOfFile: definition.path, encoding: .utf8) != definition.text {
            changes.append("libvirt's file of the domain has changed")
        }
        for image in images {
            let file = image.split(separator: "/").last ?? ""
            let attributes = try await Tool.output(of: "stat", ["-c", "%u:%g %a", image])
            let before = try await Tool.output(of: "stat", ["-c", "%u:%g %a", "\(stock)/\(file)"])
            if attributes != before {
                changes.append("\(image) had \(before) and has \(attributes)")
            }
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: shop.disks)
        changes += files.filter { !images.contains("\(shop.disks)/\($0)") }.map { "beside the disks: \($0)" }
        return changes
    }

    /// `virt-fsck repair --no-start` on the domain.
    func repair(_ engine: String, environment: [String: String] = [:]) async throws -> ToolResult {
        try await virtFsck(["repair", "--no-start", "--engine", engine, shop.name], environment)
    }

    /// `virt-fsck repair --commit after-boot` on the domain, with its guest's time to boot.
    func afterBoot(_ engine: String, environment: [String: String] = [:]) async throws -> ToolResult {
        let timeout = guest == .silent ? "1" : "120"
        return try await virtFsck(
            ["repair", "--commit", "after-boot", "--boot-timeout", timeout, "--engine", engine, shop.name], environment)
    }

    /// Any run of virt-fsck.
    func virtFsck(_ arguments: [String], _ environment: [String: String] = [:]) async throws -> ToolResult {
        guard let program = VirtFsck.program else { throw ToolError(description: "virt-fsck is not built") }
        return try await Tool.run(
            program, arguments + ["--connect", PrivateLibvirt.shared.uri], environment: environment)
    }

    private func isSame(_ set: DiskSet, _ views: [String]) async throws -> Bool {
        for (one, other) in zip(set.paths, views) where try await Tool.run("cmp", ["-s", one, other]).exitStatus != 0 {
            return false
        }
        return true
    }
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ body: (Element) async throws -> Value) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await body(element)) }
        return values
    }
}
