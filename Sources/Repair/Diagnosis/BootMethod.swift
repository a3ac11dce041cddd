import LibXML

/// How a domain finds what it boots (libvirt: formatdomain, "Operating system booting").
enum BootMethod: Hashable, Sendable {
    /// A BIOS reads the first sector of a disk.
    case bios
    /// UEFI firmware reads an EFI system partition.
    case efi
    /// The host gives it a kernel: nothing of the disk matters before the root is mounted.
    case kernel
    /// Some other firmware.
    case other

    /// Reads it from a domain's XML.
    init(xml: String) throws(XMLError) {
        let document = try Document(xml)
        let architecture = try document.value(of: "string(/domain/os/type/@arch)")
        let efiSigns = try document.value(
            of: "concat(/domain/os[@firmware='efi']/@firmware, /domain/os/loader[@type='pflash']/@type)")
        if try !document.value(of: "string(/domain/os/kernel)").isEmpty {
            self = .kernel
        } else if !efiSigns.isEmpty {
            self = .efi
        } else if ["x86_64", "i686", ""].contains(architecture) {
            self = .bios
        } else {
            self = .other
        }
    }
}
