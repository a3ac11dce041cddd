internal import CLibvirt

extension Connection {
    /// What the host and its hypervisor can do, as XML (`virConnectGetCapabilities`; libvirt: formatcaps).
    ///
    /// - Throws: ``LibvirtError``.
    public func capabilities() throws(LibvirtError) -> String {
        try LibvirtError.check("virConnectGetCapabilities", adopting: virConnectGetCapabilities(pointer))
    }
}
