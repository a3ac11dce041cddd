/// A disk of a domain, as the domain's XML describes it (libvirt: formatdomain, "Hard drives, floppy disks, CDROMs").
public struct Disk: Hashable, Sendable {
    /// What the guest sees it as.
    public enum Device: Hashable, Sendable {
        case disk
        case cdrom
        case floppy
        /// SCSI passthrough: the guest talks to the device itself.
        case lun
        /// A kind that we don't know, by its name in the XML.
        case other(String)
    }

    /// Where its content is.
    public enum Source: Hashable, Sendable {
        case file(String)
        case block(String)
        /// A volume of one of libvirt's storage pools.
        case volume(pool: String, name: String)
        /// On another machine, by the protocol's name.
        case network(protocol: String)
        /// No medium.
        case none
        /// A type that we don't know, by its name in the XML.
        case other(String)
    }

    /// Where the layers below its image come from. libvirt believes the XML where that has a `<backingStore>`, and then not the
    /// image's header (libvirt: formatdomain, `backingStore`; `qemuDomainDetermineDiskChain`).
    public enum Backing: Hashable, Sendable {
        /// The headers tell, from the image's own on.
        case header
        /// These layers, uppermost first; below the last one the headers tell, or with `isTerminated` there is nothing.
        case layers([Layer], isTerminated: Bool)
    }

    /// A layer that the XML names.
    public struct Layer: Hashable, Sendable {
        /// Its file or device; "" where it is something else.
        public var path: String
        /// QEMU's name of its format.
        public var format: String
        /// Why it can't be used here; nil where it can.
        public var problem: String?

        /// Describes a layer.
        public init(path: String, format: String, problem: String? = nil) {
            self.path = path
            self.format = format
            self.problem = problem
        }
    }

    /// The guest's name for it: `vda`. Unique in a domain.
    public var target: String
    /// What the guest sees it as.
    public var device: Device
    /// Where its content is.
    public var source: Source
    /// QEMU's name of the format; libvirt's default is `raw`.
    public var format: String
    /// Whether the domain may not write to it.
    public var isReadOnly: Bool
    /// Whether several domains may use it at once.
    public var isShareable: Bool
    /// Whether what the guest writes is thrown away when it stops.
    public var isTransient: Bool
    /// Whether its content is encrypted.
    public var isEncrypted: Bool
    /// Whether the XML asks for a slice of the file only.
    public var isSlice: Bool
    /// Bytes of a sector that the guest sees; 0 where the XML says what is no number.
    public var sectorSize: Int
    /// Where the layers below its image come from.
    public var backing = Backing.header
    /// Whether the domain starts without it where its source is missing (`startupPolicy='optional'`).
    public var isOptional = false

    /// The path that the XML names, where it names one; never canonicalised.
    public var path: String? {
        switch source {
        case .file(let path), .block(let path): path
        default: nil
        }
    }
}
