import Foundation
import Synchronization

/// A folder, a domain and everything that a test makes; in the end all of it is gone, and nothing else is left.
public struct Workshop: Sendable {
    /// Where the test's files are.
    public let folder: String
    /// Where the domain's disks are: nothing else is in it.
    public let disks: String
    /// The domain's name, which no other test has.
    public let name: String

    /// Runs a test in a workshop of its own, a few at a time.
    ///
    /// - Throws: what `body` throws; ``ToolError`` when something is left on the host.
    public static func with(_ body: (Workshop) async throws -> Void) async throws {
        try await Gate.shared.enter()
        do {
            try await work(body)
            await Gate.shared.leave()
        } catch {
            await Gate.shared.leave()
            throw error
        }
    }

    private static func work(_ body: (Workshop) async throws -> Void) async throws {
        try await PrivateLibvirt.shared.ready()
        let name = "t" + UUID().uuidString.lowercased().filter { $0 != "-" }.prefix(10)
        let folder = "\(TestHost.folder)/\(name)"
        let workshop = Workshop(folder: folder, disks: "\(folder)/disks", name: name)
        try FileManager.default.createDirectory(
            atPath: workshop.disks, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(workshop))
        } catch {
            result = .failure(error)
        }
        let domains = try await PrivateLibvirt.shared.virsh("list", "--all", "--name").split(separator: "\n").map {
            $0.trimmingCharacters(in: .whitespaces)
        }.filter { $0.hasPrefix(name) }
        for domain in domains {
            _ = try? await PrivateLibvirt.shared.virsh("destroy", domain)
            _ = try? await PrivateLibvirt.shared.virsh("undefine", domain, "--managed-save")
        }
        let leftovers = try await workshop.leftovers()
        HostState.removeLogs(ofDomain: name)
        try FileManager.default.removeItem(atPath: folder)
        try result.get()
        guard leftovers.isEmpty else {
            throw ToolError(description: "left behind:\n" + leftovers.joined(separator: "\n"))
        }
    }

    /// What the runs so far left on the host, once the kernel had its moment.
    private func leftovers() async throws -> [String] {
        var found: [String] = []
        _ = try await eventually {
            found = try await HostState.leftovers(ofRuns: HostState.runs(onDomain: name), in: folder)
            return found.isEmpty
        }
        return found
    }

    /// Defines the domain: tiny, without an operating system.
    ///
    /// - Parameters:
    ///   - disks: `<disk>` elements; see ``disk(_:format:target:body:)``.
    ///   - suffix: for a second domain of the same test.
    ///   - libvirt: where.
    public func define(
        _ disks: [String], suffix: String = "", extra: String = "", on libvirt: PrivateLibvirt = .shared
    ) async throws {
        let xml = """
            <domain type='qemu'><name>\(name)\(suffix)</name><memory unit='MiB'>32</memory>
            <os><type arch='x86_64'>hvm</type></os>\(extra)
            <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\(disks.joined(separator: "\n"))
            <controller type='usb' model='none'/><memballoon model='none'/></devices></domain>
            """
        let file = "\(folder)/domain\(suffix).xml"
        try xml.write(toFile: file, atomically: true, encoding: .utf8)
        try await libvirt.virsh("define", file)
    }

    /// A `<disk>` element of type file.
    ///
    /// - Parameters:
    ///   - body: more elements in it.
    public static func disk(
        _ path: String, format: String, target: String = "vda", sectorSize: Int = 512, device: String = "disk",
        bus: String = "virtio", body: String = ""
    ) -> String {
        let block =
            sectorSize == 512 ? "" : "<blockio logical_block_size='\(sectorSize)' physical_block_size='\(sectorSize)'/>"
        return """
            <disk type='file' device='\(device)'><driver name='qemu' type='\(format)'/>\
            <source file='\(path.escapedForXML)'/>\(block)<target dev='\(target)' bus='\(bus)'/>\(body)</disk>
            """
    }

    /// Makes images of raw disks in ``disks`` and defines the domain with them.
    ///
    /// - Returns: the images' paths.
    @discardableResult
    public func defineImages(
        of set: DiskSet, _ storage: Storage, pristine: DiskSet? = nil
    ) async throws -> [String] {
        var images: [String] = []
        var elements: [String] = []
        for (number, raw) in set.paths.enumerated() {
            let image = "\(disks)/disk\(number).\(storage == .raw ? "img" : "qcow2")"
            try await storage.make(image, from: raw, over: pristine?.paths[number])
            images.append(image)
            elements.append(
                Self.disk(
                    image, format: storage.format, target: ["vda", "vdb", "vdc"][number], sectorSize: set.sectorSize))
        }
        try await define(elements)
        return images
    }

    /// Takes the images' content out again, beside the set's own files.
    public func content(of images: [String], _ storage: Storage, like set: DiskSet) async throws -> DiskSet {
        var after = set
        after.paths = []
        for image in images {
            let raw = "\(folder)/after-\(UUID().uuidString).raw"
            try await Tool.output(of: "qemu-img", ["convert", "-f", storage.format, "-O", "raw", image, raw])
            after.paths.append(raw)
        }
        return after
    }

    /// Runs virt-fsck on the domain, with `--json`.
    ///
    /// - Parameter arguments: the verb and its options.
    public func virtFsck(_ arguments: String...) async throws -> VirtFsck.Run {
        try await VirtFsck.run(arguments + ["--json", name])
    }

    /// Everything that must stay as it is: the disks' bytes, owner, mode and time, and the domain's XML, as libvirt gives it and
    /// as it keeps it.
    public func snapshot() async throws -> [String: String] {
        var snapshot: [String: String] = [:]
        let files = try FileManager.default.subpathsOfDirectory(atPath: disks).sorted()
        for file in files {
            let path = "\(disks)/\(file)"
            let sum = try await Tool.run("sha256sum", ["--zero", "--", path]).output.prefix(64)
            let status = try await Tool.output(of: "stat", ["-c", "%F %u:%g %a %s %y", "--", path])
            snapshot[file] = "\(sum) \(status)"
        }
        snapshot["xml"] = try await xml()
        let definition = "\(PrivateLibvirt.shared.definitions)/\(name).xml"
        snapshot["definition"] = try? String(contentsOfFile: definition, encoding: .utf8)
        return snapshot
    }

    /// The domain's XML as it is defined, with its secrets; "" where there is no such domain.
    public func xml() async throws -> String {
        try await Tool.run(
            "virsh",
            ["--quiet", "--connect", PrivateLibvirt.shared.uri, "dumpxml", "--inactive", "--security-info", name]
        ).output
    }

    /// The domain's state in virsh's words.
    public func state() async throws -> String {
        try await PrivateLibvirt.shared.virsh("domstate", name).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// How a disk's content is stored.
public enum Storage: String, CaseIterable, Sendable {
    case qcow2
    case raw
    case qcow2WithBackingFile

    /// QEMU's name of the format.
    public var format: String { self == .raw ? "raw" : "qcow2" }

    /// Makes an image.
    ///
    /// - Parameters:
    ///   - raw: its content.
    ///   - pristine: the content of its backing file, where it has one; all that differs goes into the image.
    public func make(_ image: String, from raw: String, over pristine: String?) async throws {
        switch self {
        case .raw:
            try await Tool.output(of: "cp", ["--sparse=always", raw, image])
        case .qcow2:
            try await Tool.output(of: "qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, image])
        case .qcow2WithBackingFile:
            let base = "\(image).base"
            try await Tool.output(of: "qemu-img", ["convert", "-f", "raw", "-O", "qcow2", pristine ?? raw, base])
            try await Tool.output(of: "qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, image])
            guard let pristine else { return }
            try await Self.writeDifferences(from: pristine, to: raw, into: image)
        }
    }

    private static func writeDifferences(from old: String, to new: String, into image: String) async throws {
        let chunk = 64 << 10
        var commands: [String] = []
        let part = "\(image).part"
        defer { try? FileManager.default.removeItem(atPath: part) }
        let places = try FileHandle.read(old) { old in
            try FileHandle.read(new) { new in
                try (0..<Int(try new.seekToEnd()) / chunk).filter { index in
                    try Data(old.bytes(at: index * chunk, count: chunk))
                        != Data(new.bytes(at: index * chunk, count: chunk))
                }
            }
        }
        let parts = try FileHandle.read(new) { new in
            try places.map { place in
                let path = "\(part)\(place)"
                try Data(try new.bytes(at: place * chunk, count: chunk)).write(to: URL(filePath: path))
                return path
            }
        }
        for (path, place) in zip(parts, places) { commands += ["-c", "write -q -s \(path) \(place * chunk) \(chunk)"] }
        guard !commands.isEmpty else { throw ToolError(description: "the damage changed nothing") }
        try await Tool.output(of: "qemu-io", ["-f", "qcow2"] + commands + [image])
        for path in parts { try FileManager.default.removeItem(atPath: path) }
    }
}

extension String {
    /// For an attribute of XML.
    public var escapedForXML: String {
        var text = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "'": text += "&apos;"
            case "\"": text += "&quot;"
            case "\n": text += "&#10;"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

/// Lets a few in at a time: the tests run all at once otherwise, and each is half a dozen processes.
private actor Gate {
    static let shared = Gate(places: max(2, ProcessInfo.processInfo.activeProcessorCount + 1))

    private var places: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(places: Int) { self.places = places }

    func enter() async throws {
        if places > 0 {
            places -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func leave() {
        if waiting.isEmpty {
            places += 1
        } else {
            waiting.removeFirst().resume()
        }
    }
}
