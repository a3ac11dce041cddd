internal import CLibvirt

extension Connection {
    /// The block job on a disk, or nil when there is none (`virDomainGetBlockJobInfo`).
    ///
    /// - Parameters:
    ///   - id: a running domain.
    ///   - disk: the disk's target, such as `vda`, or its source.
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/operationInvalid`` when the domain isn't running.
    public func blockJob(of id: DomainID, disk: String) throws(LibvirtError) -> BlockJob? {
        try withDomain(id) { domain throws(LibvirtError) in
            var info = virDomainBlockJobInfo()
            let flags = VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES.rawValue
            let found = try LibvirtError.check(
                "virDomainGetBlockJobInfo", virDomainGetBlockJobInfo(domain, disk, &info, flags))
            guard found > 0 else { return nil }
            return BlockJob(
                kind: BlockJobKind(info.type), bandwidth: UInt64(info.bandwidth), current: UInt64(info.cur),
                end: UInt64(info.end))
        }
    }

    /// Starts to merge layers of a disk downwards, and returns while the job runs (`virDomainBlockCommit`).
    ///
    /// - Parameters:
    ///   - id: a running domain.
    ///   - disk: the disk's target, such as `vda`.
    ///   - base: the file that receives the data; nil is the deepest of the chain, or with ``BlockCommitOptions/shallow`` the one
    ///     below the top.
    ///   - top: the uppermost file to merge; nil is the active layer.
    ///   - options: how.
    /// - Throws: ``LibvirtError``.
    public func blockCommit(
        _ id: DomainID, disk: String, base: String?, top: String?, options: BlockCommitOptions
    ) throws(LibvirtError) {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check(
                "virDomainBlockCommit", virDomainBlockCommit(domain, disk, base, top, 0, options.rawValue))
        }
    }

    /// Ends an active commit, or a copy, that is at its end: the domain continues on the other file
    /// (`virDomainBlockJobAbort` with `VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT`).
    ///
    /// - Throws: ``LibvirtError``; ``LibvirtError/Code/blockCopyActive`` when the job isn't at its end yet.
    public func pivotBlockJob(of id: DomainID, disk: String) throws(LibvirtError) {
        try abortBlockJob(of: id, disk: disk, flags: VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT.rawValue)
    }

    /// Ends a job where it is, and waits for its end (`virDomainBlockJobAbort`); the domain stays on the file it has.
    ///
    /// - Throws: ``LibvirtError`` with ``LibvirtError/Code/operationInvalid`` when there is no job.
    public func abortBlockJob(of id: DomainID, disk: String) throws(LibvirtError) {
        try abortBlockJob(of: id, disk: disk, flags: 0)
    }

    private func abortBlockJob(of id: DomainID, disk: String, flags: UInt32) throws(LibvirtError) {
        try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check("virDomainBlockJobAbort", virDomainBlockJobAbort(domain, disk, flags))
        }
    }
}
