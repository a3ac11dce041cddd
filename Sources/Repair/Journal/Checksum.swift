/// CRC-32 as in IEEE 802.3 (the one of zlib and PNG): tells a line that a power cut tore, or that somebody edited.
enum Checksum {
    /// The sum over `bytes`, going on from the sum over what came before them.
    static func of(_ bytes: some Sequence<UInt8>, after previous: UInt32 = 0) -> UInt32 {
        var sum = ~previous
        for byte in bytes { sum = table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ (sum >> 8) }
        return ~sum
    }

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 0 ? sum >> 1 : (sum >> 1) ^ 0xEDB8_8320 }
    }
}
