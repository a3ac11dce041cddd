/// The little that we read ourselves of a qcow2 image's header: what it needs besides itself. Thousands of images can be asked in the time
/// of one `qemu-img info`. Layout: QEMU's `docs/interop/qcow2.txt`.
public struct Qcow2Header: Hashable, Sendable {
    /// The layer below as the header names it: absolute, relative to the image's folder, or with a protocol; nil for none.
    public var backing: String?
    /// The format that the header records for it.
    public var backingFormat: String?
    /// Bytes that it gives a place at once.
    public var clusterSize: UInt64
    /// The file that holds its data, as the header names it; nil where it holds them itself.
    public var dataFile: String?

    /// Reads the header of the image at `path`; nil where it is no qcow2 image, can't be read, or is nothing we understand:
    /// then qemu-img is to be asked. Files and block devices only: nothing else is opened.
    public init?(of path: String) {
        self.init(Files.content(of: path, limit: 65536) ?? [])
    }

    /// Whether what is at `path` begins as a qcow2 image does, whether its header is one that we understand or not.
    public static func isThere(at path: String) -> Bool {
        Files.content(of: path, limit: 4) == [0x51, 0x46, 0x49, 0xFB]
    }

    /// Reads the first bytes of an image.
    init?(_ bytes: [UInt8]) {
        func number(at offset: Int, bytes count: Int) -> Int? {
            guard offset >= 0, offset + count <= bytes.count else { return nil }
            let value = bytes[offset..<offset + count].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return Int(exactly: value)
        }
        guard number(at: 0, bytes: 4) == 0x5146_49FB, let version = number(at: 4, bytes: 4), 2...3 ~= version,
            let offset = number(at: 8, bytes: 8), let length = number(at: 16, bytes: 4),
            let clusterBits = number(at: 20, bytes: 4), 9...21 ~= clusterBits
        else { return nil }
        clusterSize = 1 << UInt64(clusterBits)
        if offset > 0 {
            guard 1...1023 ~= length, offset <= bytes.count - length else { return nil }
            backing = String(decoding: bytes[offset..<offset + length], as: UTF8.self)
        }
        guard var next = version == 2 ? 72 : number(at: 100, bytes: 4) else { return nil }
        while let kind = number(at: next, bytes: 4), let size = number(at: next + 4, bytes: 4), kind != 0 {
            let data = next + 8
            guard size <= bytes.count - data else { return nil }
            let text = String(decoding: bytes[data..<data + size], as: UTF8.self)
            switch kind {
            case 0xE279_2ACA: backingFormat = text
            case 0x4441_5441: dataFile = text
            default: break
            }
            next = data + (size + 7) / 8 * 8
        }
    }
}
