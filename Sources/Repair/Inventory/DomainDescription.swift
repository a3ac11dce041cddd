public import LibXML

/// What we need to know of a domain's XML.
public struct DomainDescription: Hashable, Sendable {
    /// Hypervisor driver: `kvm`, `qemu`, `test`, …
    public var type: String
    /// Its disks in the XML's order; cdroms and floppies too.
    public var disks: [Disk]
    /// Who manages it and starts it from an XML of its own (`nova`, `oVirt`), by the metadata's namespace.
    public var manager: String?

    /// Files in which libvirt or QEMU keeps what its consoles say.
    public var consoleLogs: [String]
    /// Files that libvirt or QEMU opens to write what devices of its say.
    public var outputFiles: [String]
    /// Where its QEMU is; "" where the XML doesn't say.
    public var emulator: String
    /// Whether it runs with a channel for a guest agent that nothing in the guest has opened: libvirt's formatdomain,
    /// "the state of the channel". A guest without an agent looks the same as one that is dead.
    public var hasSilentAgent: Bool

    /// Reads a domain's XML.
    ///
    /// - Throws: ``XMLError`` when it is none.
    public init(xml: String) throws(XMLError) {
        let document = try Document(xml)
        type = try document.value(of: "string(/domain/@type)")
        disks = try document.map("/domain/devices/disk") { node throws(XMLError) in try Disk(node) }
        consoleLogs = try document.values(
            of: "/domain/devices/*[self::serial or self::console]/log/@file"
                + " | /domain/devices/*[self::serial or self::console][@type='file']/source/@path")
        outputFiles = try document.values(
            of: "/domain/devices/*/log/@file | /domain/devices/*[@type='file' and not(self::disk)]/source/@path")
        emulator = try document.value(of: "string(/domain/devices/emulator)")
        hasSilentAgent = try document.matches(
            "/domain/devices/channel/target[@name='org.qemu.guest_agent.0' and @state='disconnected']")
        let namespaces = try document.map("/domain/metadata/*") { node throws(XMLError) in
            try node.value(of: "namespace-uri()")
        }
        manager = Self.managers.first { manager in namespaces.contains { $0.contains(manager.mark) } }?.name
    }

    private static let managers: [(mark: String, name: String)] = [
        ("openstack.org", "OpenStack Nova"), ("ovirt.org", "oVirt"), ("kubevirt.io", "KubeVirt"),
        ("cloudstack", "CloudStack"),
    ]
}

extension Disk {
    /// Reads a `<disk>` element. Odd values become `.other`: it is the plan that refuses them.
    init(_ node: borrowing Node) throws(XMLError) {
        target = try node.value(of: "string(target/@dev)")
        device =
            switch node.attribute("device") ?? "disk" {
            case "disk": .disk
            case "cdrom": .cdrom
            case "floppy": .floppy
            case "lun": .lun
            case let other: .other(other)
            }
        let file = try node.value(of: "string(source/@file)")
        let block = try node.value(of: "string(source/@dev)")
        source =
            switch node.attribute("type") ?? "file" {
            case "file": file.isEmpty ? .none : .file(file)
            case "block": block.isEmpty ? .none : .block(block)
            case "volume":
                .volume(
                    pool: try node.value(of: "string(source/@pool)"),
                    name: try node.value(of: "string(source/@volume)"))
            case "network": .network(protocol: try node.value(of: "string(source/@protocol)"))
            case let other: .other(other)
            }
        let declaredFormat = try node.value(of: "string(driver/@type)")
        format = declaredFormat.isEmpty ? "raw" : declaredFormat
        isReadOnly = try node.matches("readonly")
        isShareable = try node.matches("shareable")
        isTransient = try node.matches("transient")
        isEncrypted = try node.matches("encryption | source/encryption")
        isSlice = try node.matches("source/slices")
        let sectorSize = try node.value(of: "string(blockio/@logical_block_size)")
        self.sectorSize = sectorSize.isEmpty ? 512 : Int(sectorSize) ?? 0
        backing = try Backing(node)
        isOptional = try node.value(of: "string(source/@startupPolicy)") == "optional"
    }
}

extension Disk.Backing {
    /// More layers than QEMU's users have; libvirt itself nests them in the XML as deep as it likes.
    private static let mostLayers = 64

    /// Reads the `<backingStore>` elements of a `<disk>`, each of which is inside the one before.
    fileprivate init(_ disk: borrowing Node) throws(XMLError) {
        var layers: [Disk.Layer] = []
        var place = "backingStore"
        while try disk.matches(place) {
            // One without a type ends the chain.
            guard try disk.matches("\(place)/@type"), layers.count < Self.mostLayers else {
                self = .layers(layers, isTerminated: true)
                return
            }
            layers.append(try Disk.Layer(disk, at: place))
            place += "/backingStore"
        }
        self = layers.isEmpty ? .header : .layers(layers, isTerminated: false)
    }
}

extension Disk.Layer {
    fileprivate init(_ disk: borrowing Node, at place: String) throws(XMLError) {
        let type = try disk.value(of: "string(\(place)/@type)")
        let source = ["file": "file", "block": "dev"][type]
        self.init(
            path: try source.map { name throws(XMLError) in try disk.value(of: "string(\(place)/source/@\(name))") }
                ?? "",
            format: try disk.value(of: "string(\(place)/format/@type)"))
        if path.isEmpty {
            problem = "a layer of type '\(type)' below the image can't be repaired here"
        } else if try disk.matches("\(place)/source/slices | \(place)/source/encryption | \(place)/source/dataStore") {
            problem = "\(path): a slice, an encrypted image or one with a data file below the image is not supported"
        }
    }
}
