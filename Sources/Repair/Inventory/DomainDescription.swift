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
        sectorSize = try node.value(of: "string(blockio/@logical_block_size)") == "4096" ? 4096 : 512
    }
}
