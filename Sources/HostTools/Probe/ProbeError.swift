public import SystemPackage

/// Why a device could not be probed. "Nothing found" is a result, not an error.
public enum ProbeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The region is empty, or doesn't fit in the signed 64 bits that libblkid works with.
    case invalidRegion(offset: UInt64, length: UInt64)
    /// The region reaches past the end of the device or file, which has `size` bytes.
    case regionPastEnd(offset: UInt64, length: UInt64, size: UInt64)
    /// libblkid's function `call` failed, most often because the device could not be read.
    case failed(call: String, code: Errno)

    /// What happened, with numbers in bytes; the caller knows the device's name and puts it in front.
    public var description: String {
        switch self {
        case .invalidRegion(let offset, let length): "probe: not a region: offset \(offset), length \(length)"
        case .regionPastEnd(let offset, let length, let size):
            "probe: offset \(offset), length \(length) reaches past the end of the device (\(size) bytes)"
        case .failed(let call, let code): "probe: \(call): \(code)"
        }
    }
}
