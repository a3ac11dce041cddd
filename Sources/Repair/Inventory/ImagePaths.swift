import LibXML

/// Every path of an image that a domain's XML names: disks and, where libvirt lists them, the layers below.
struct ImagePaths {
    let paths: [String]

    init(xml: String) throws(XMLError) {
        let document = try Document(xml)
        paths = try document.values(
            of: "/domain/devices/disk[@device='disk' or @device='lun' or not(@device)]"
                + "/descendant-or-self::*/source/@*[name()='file' or name()='dev']")
    }
}
