internal import CLibvirt

/// Owns a `virStreamPtr`. A class, because the connection keeps some of them.
final class StreamHandle {
    let pointer: virStreamPtr

    /// Makes a stream that carries nothing yet (`virStreamNew`).
    ///
    /// - Parameter flags: `virStreamFlags`.
    init(on connection: virConnectPtr?, flags: UInt32 = 0) throws(LibvirtError) {
        pointer = try LibvirtError.check("virStreamNew", virStreamNew(connection, flags))
    }

    deinit {
        virStreamFree(pointer)
    }
}
