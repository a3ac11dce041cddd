internal import CLibvirt

/// A picture of a domain's screen.
public struct Screenshot: Hashable, Sendable {
    /// What libvirt says that it is: `image/png` (measured with QEMU 7.2), `image/x-portable-pixmap` with QEMU before 7.1.
    public let mediaType: String
    /// The file.
    public let bytes: [UInt8]
}

extension Connection {
    /// Takes a picture of what the domain's graphics device shows (`virDomainScreenshot`).
    ///
    /// Like every call it keeps the connection busy until the picture is here, a fraction of a second.
    ///
    /// - Parameters:
    ///   - id: an active domain.
    ///   - limit: how many bytes the picture may have. One of 3840 × 2160 pixels has 25 MB.
    /// - Throws: ``LibvirtError``; ``LibvirtError/Code/tooLarge`` for a picture beyond the limit, some other code when the
    ///   domain has no graphics device or isn't active.
    public func screenshot(of id: DomainID, limit: Int) throws(LibvirtError) -> Screenshot {
        let stream = try StreamHandle(on: pointer)
        let mediaType = try withDomain(id) { domain throws(LibvirtError) in
            try LibvirtError.check(
                "virDomainScreenshot", adopting: virDomainScreenshot(domain, stream.pointer, 0, 0))
        }
        do throws(LibvirtError) {
            let bytes = try receiveAll(of: stream, limit: limit)
            try LibvirtError.check("virStreamFinish", virStreamFinish(stream.pointer))
            return Screenshot(mediaType: mediaType, bytes: bytes)
        } catch {
            virStreamAbort(stream.pointer)
            throw error
        }
    }

    /// Reads a blocking stream to its end.
    private func receiveAll(of stream: StreamHandle, limit: Int) throws(LibvirtError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [CChar](repeating: 0, count: 1 << 18)
        while true {
            let count = Int(
                try LibvirtError.check(
                    "virStreamRecv", virStreamRecv(stream.pointer, &chunk, chunk.count)))
            guard count > 0 else { return bytes }
            guard bytes.count + count <= limit else {
                throw LibvirtError(
                    call: "virDomainScreenshot", code: .tooLarge, message: "more than \(limit) bytes")
            }
            bytes.append(contentsOf: chunk[..<count].lazy.map { UInt8(bitPattern: $0) })
        }
    }
}
