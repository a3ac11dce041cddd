import HostTools

/// dm-verity: the hashes of every block of another partition. One byte of that is changed, be it by a repair, and the guest reads errors
/// where it was.
enum VerityTree {
    static let signature = "DM_verity_hash"
    /// Bytes of ``dataSize(_:)``'s header.
    static let headerSize = 80

    /// How many bytes a tree is for (cryptsetup: `struct verity_sb` in lib/verity/verity.c; little endian); nil where its header makes no
    /// sense.
    static func dataSize(_ header: [UInt8]) -> UInt64? {
        guard header.count >= headerSize, header.starts(with: "verity\0\0".utf8) else { return nil }
        func number(_ range: Range<Int>) -> UInt64 { header[range].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        let (size, overflow) = number(64..<68).multipliedReportingOverflow(by: number(72..<80))
        return overflow || size == 0 ? nil : size
    }

    /// Takes what a tree is for from the checkers: of a domain's filesystems those that are as large as it says, or else all that it could
    /// be for; firmware reads an ESP without such a tree.
    static func protecting(_ volumes: [Volume]) -> [Volume] {
        var volumes = volumes
        for tree in volumes where tree.signatureTypes.contains(signature) {
            let size = tree.verifiedSize ?? 0
            let exact = volumes.indices.filter { volumes[$0].size == size }
            let candidates = volumes.indices.filter { volumes[$0].size >= size && volumes[$0].type != "vfat" }
            for index in exact.isEmpty ? candidates : exact {
                guard case .filesystem = volumes[index].content else { continue }
                volumes[index].content = .unclear(
                    type: volumes[index].type,
                    why:
                        "\(tree.name) holds hashes of it, or of another filesystem here (dm-verity): changed by one byte it would no "
                        + "longer verify; build it anew, or restore it")
            }
        }
        return volumes
    }
}
