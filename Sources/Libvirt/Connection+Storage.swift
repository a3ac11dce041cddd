internal import CLibvirt

extension Connection {
    /// The path of a storage volume on the host (`virStorageVolGetPath`), for a disk of `type='volume'`.
    ///
    /// - Parameters:
    ///   - pool: the pool's name.
    ///   - volume: the volume's name in the pool.
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/noStoragePool`` or ``LibvirtError/Code/noStorageVolume``; with
    ///   ``LibvirtError/Code/operationInvalid`` when the pool isn't active.
    public func volumePath(pool: String, volume: String) throws(LibvirtError) -> String {
        let pool = StoragePoolHandle(
            owning: try LibvirtError.check(
                "virStoragePoolLookupByName", virStoragePoolLookupByName(pointer, pool)))
        return try pool.lend { pool throws(LibvirtError) in
            let volume = StorageVolumeHandle(
                owning: try LibvirtError.check(
                    "virStorageVolLookupByName", virStorageVolLookupByName(pool, volume)))
            return try volume.lend { volume throws(LibvirtError) in
                try LibvirtError.check("virStorageVolGetPath", adopting: virStorageVolGetPath(volume))
            }
        }
    }

    /// The XML of a storage pool, active or not (`virStoragePoolGetXMLDesc`).
    ///
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/noStoragePool``.
    public func poolXML(_ pool: String) throws(LibvirtError) -> String {
        let pool = StoragePoolHandle(
            owning: try LibvirtError.check(
                "virStoragePoolLookupByName", virStoragePoolLookupByName(pointer, pool)))
        return try pool.lend { pool throws(LibvirtError) in
            try LibvirtError.check("virStoragePoolGetXMLDesc", adopting: virStoragePoolGetXMLDesc(pool, 0))
        }
    }
}
