import HostTools
import LibXML

/// Every file and device that a domain's XML names, whatever for. Pure.
///
/// A domain uses the bytes of a disk by many roads: as disk, floppy or cdrom, below one, as kernel, firmware or NVRAM, as memory of
/// a snapshot, or in QEMU's own words on the command line. So no list of elements is kept: what stands there as an absolute path
/// counts.
struct NamedFiles: Hashable, Sendable {
    /// A name with its purpose.
    struct Name: Hashable, Sendable {
        /// An absolute path.
        var path: String
        /// The target of a disk (`vda`), or what else names it: `kernel`, `nvram`.
        var role: String
        /// QEMU's name of the format, where the XML says one that may name more files in its header; nil where not.
        var format: String?
    }

    /// A volume of a storage pool, which the XML names without a path.
    struct Volume: Hashable, Sendable {
        var pool: String
        var name: String
        var role: String
        var format: String
    }

    private(set) var names: Set<Name> = []
    private(set) var volumes: Set<Volume> = []
    /// What devices that are handed over whole, by an address, have in their paths below `/sys/devices`.
    private(set) var hostDevices: Set<String> = []
    /// Whether QEMU reads more of its command line from a file.
    private(set) var readsConfiguration = false

    /// The paths alone.
    var paths: Set<String> { Set(names.map(\.path)) }

    /// Reads the XML of a domain, or of a snapshot with the domains in it.
    init(xml: String) throws(XMLError) {
        let document = try Document(xml)
        try document.forEach("//devices/disk | /domainsnapshot/disks/disk") { node throws(XMLError) in
            try read(disk: node)
        }
        try document.forEach("//backingStore[@type='volume'] | //mirror[@type='volume']") { node throws(XMLError) in
            volumes.insert(
                Volume(
                    pool: try node.value(of: "string(source/@pool)"),
                    name: try node.value(of: "string(source/@volume)"),
                    role: try node.value(of: "string(ancestor::disk[1]/target/@dev)"),
                    format: try node.value(of: "string(format/@type)")))
        }
        try document.forEach("//hostdev/source[address] | //source[@type='pci'][address]") { node throws(XMLError) in
            if let part = try Self.hostDevice(node) { hostDevices.insert(part) }
        }
        // What people wrote about a domain is no use of what they mention.
        let quiet = ["metadata", "title", "description", "disk"].map { "ancestor-or-self::\($0)" }.joined(
            separator: " or ")
        let path = "starts-with(normalize-space(.), '/')"
        let elements = "//*[not(\(quiet))][@*[\(path)] or text()[\(path)]]"
        try document.forEach(elements) { node throws(XMLError) in
            for path in try node.values(of: "@*[\(path)] | text()[\(path)]") {
                names.insert(Name(path: path.trimmed, role: node.name))
            }
        }
        let foreign = "//*[namespace-uri() = 'http://libvirt.org/schemas/domain/qemu/1.0']/@value"
        for value in try document.values(of: foreign) {
            if value == "-readconfig" { readsConfiguration = true }
            for path in Self.paths(inside: value) {
                names.insert(Name(path: path, role: "qemu:commandline", format: ""))
            }
        }
    }

    private mutating func read(disk node: borrowing Node) throws(XMLError) {
        // In a snapshot's own list a disk is called by its name.
        let target = try node.value(of: "string(target/@dev | self::node()[not(target)]/@name)")
        let role = target.isEmpty ? "a snapshot" : target
        let disk = try Disk(node)
        if case .volume(let pool, let name) = disk.source {
            volumes.insert(Volume(pool: pool, name: name, role: role, format: disk.format))
        }
        for path in try node.values(of: ".//@*[starts-with(., '/')]") { names.insert(Name(path: path, role: role)) }
        // Without a leading / it would be another file in each folder: libvirt's own, not ours.
        if let path = disk.path, path.hasPrefix("/") { names.insert(Name(path: path, role: role, format: disk.format)) }
        guard case .layers(let layers, _) = disk.backing else { return }
        for layer in layers where layer.path.hasPrefix("/") {
            names.insert(Name(path: layer.path, role: role, format: layer.format))
        }
    }

    /// `/0000:01:00.0/` of a PCI device, `/2:0:0:1/` of a SCSI one (kernel: `Documentation/admin-guide/sysfs-rules.rst`).
    private static func hostDevice(_ source: borrowing Node) throws(XMLError) -> String? {
        func number(_ name: String) throws(XMLError) -> UInt64? {
            let text = try source.value(of: "string(address/@\(name))")
            return text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
        }
        func hex(_ number: UInt64, _ width: Int) -> String {
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let adapter = try source.value(of: "string(adapter/@name)")
        if let host = UInt64(adapter.removingPrefix("scsi_host")), let bus = try number("bus"),
            let target = try number("target"), let unit = try number("unit")
        {
            return "/\(host):\(bus):\(target):\(unit)/"
        }
        guard let bus = try number("bus"), let slot = try number("slot"), let function = try number("function") else {
            return nil
        }
        let domain = try number("domain") ?? 0
        return "/\(hex(domain, 4)):\(hex(bus, 2)):\(hex(slot, 2)).\(function)/"
    }

    /// What may be a path in a word of QEMU's command line: `file=/srv/a.img,format=raw`, `{"filename": "/srv/a.img"}`. QEMU
    /// writes a comma in a name as two, and works in `/` below libvirt, where a relative name begins.
    static func paths(inside word: String) -> Set<String> {
        var found: Set<String> = []
        // JSON may write a slash as it likes.
        if let start = word.firstIndex(of: "{"), let end = word.lastIndex(of: "}"), start < end {
            let json = String(word[start...end])
            for text in [json, json.replacing(",,", with: ",")] {
                found.formUnion((try? JSONValue(parsing: text))?.absolutePaths ?? [])
            }
        }
        var before: Character?
        for index in word.indices {
            defer { before = word[index] }
            let isStart = before.map { "=,:\"' ".contains($0) } ?? true
            guard isStart, !"=,:\"' -{}".contains(word[index]) else { continue }
            let rest = word[index...]
            let names = [String(rest), String(rest.prefix { $0 != "\"" && $0 != "'" }), Self.untilComma(rest)]
            for name in names where name.contains("/") { found.insert(name.hasPrefix("/") ? name : "/\(name)") }
        }
        return found
    }

    private static func untilComma(_ text: Substring) -> String {
        var path = ""
        var rest = text
        while let character = rest.popFirst() {
            if character == "," {
                guard rest.first == "," else { break }
                rest.removeFirst()
            }
            path.append(character)
        }
        return path
    }
}

extension String {
    fileprivate var trimmed: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}
