internal import CLibvirt

extension Connection {
    /// The name of the host that the domains run on (`virConnectGetHostname`).
    ///
    /// - Throws: ``LibvirtError``.
    public func hostname() throws(LibvirtError) -> String {
        try LibvirtError.check("virConnectGetHostname", adopting: virConnectGetHostname(pointer))
    }

    /// The URI that the connection really has, also when it was opened with nil (`virConnectGetURI`).
    ///
    /// - Throws: ``LibvirtError``.
    public func uri() throws(LibvirtError) -> String {
        try LibvirtError.check("virConnectGetURI", adopting: virConnectGetURI(pointer))
    }

    /// The version of libvirt on the other side (`virConnectGetLibVersion`).
    ///
    /// - Throws: ``LibvirtError``.
    public func libraryVersion() throws(LibvirtError) -> LibraryVersion {
        var number: UInt = 0
        try LibvirtError.check("virConnectGetLibVersion", virConnectGetLibVersion(pointer, &number))
        return LibraryVersion(number: number)
    }

    /// Whether the connection still works (`virConnectIsAlive`); false after the daemon went or keepalive gave up.
    public func isAlive() -> Bool {
        virConnectIsAlive(pointer) == 1
    }
}
