public import SystemPackage

/// One line of a device-mapper table. All numbers are sectors of 512 bytes, whatever the devices' own sector size.
public struct MappedExtent: Hashable, Sendable, Codable {
    /// A place on a device.
    public struct Place: Hashable, Sendable, Codable {
        /// The device.
        public var device: DeviceNumber
        /// First sector of it.
        public var offset: UInt64

        /// Sector `offset` of `device`.
        public init(device: DeviceNumber, offset: UInt64) {
            self.device = device
            self.offset = offset
        }
    }

    /// Where the extent's sectors are.
    public enum Target: Hashable, Sendable, Codable {
        /// One after the other from here on.
        case linear(Place)
        /// In chunks of so many sectors, taking turns between the places.
        case striped(chunk: UInt64, [Place])
        /// Nowhere: every access is an I/O error.
        case error
    }

    /// First sector in the new device.
    public var start: UInt64
    /// How many sectors.
    public var length: UInt64
    /// Where they are.
    public var target: Target

    /// The sectors `start` ..< `start + length` of the new device.
    public init(start: UInt64, length: UInt64, target: Target) {
        self.start = start
        self.length = length
        self.target = target
    }

    /// The target's type as the kernel calls it.
    var targetName: String {
        switch target {
        case .linear: "linear"
        case .striped: "striped"
        case .error: "error"
        }
    }

    /// The target's parameters, see Documentation/admin-guide/device-mapper of the kernel.
    var targetParameters: String {
        switch target {
        case .linear(let place): place.parameters
        case .striped(let chunk, let places):
            ([String(places.count), String(chunk)] + places.map(\.parameters)).joined(separator: " ")
        case .error: ""
        }
    }
}

extension MappedExtent.Place {
    fileprivate var parameters: String { "\(device) \(offset)" }
}

/// A device that device-mapper made.
public struct MappedDevice: Hashable, Sendable, Codable {
    /// Its name; there is no node /dev/mapper/name.
    public var name: String
    /// The device.
    public var number: DeviceNumber

    /// Makes a value; ``DeviceMapper`` makes devices.
    public init(name: String, number: DeviceNumber) {
        self.name = name
        self.number = number
    }
}

/// Why device-mapper could not do its work.
public enum MapperError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kernel has no device-mapper, or its module isn't loaded.
    case notAvailable
    /// Not a name that needs no quoting: 1–127 letters, digits and `#+-.:=@_`.
    case invalidName(String)
    /// The table has a gap, an overlap or numbers that overflow.
    case invalidTable(name: String, reason: String)
    /// A call failed; `code` is the kernel's answer (`EBUSY`: the name or UUID is in use, or the device is), `message` is
    /// what libdevmapper said.
    case failed(name: String, operation: String, code: Errno, message: String)

    /// `subject: what happened; the way out`.
    public var description: String {
        switch self {
        case .notAvailable: "device-mapper: not available; load the module: modprobe dm-mod"
        case .invalidName(let name): "device-mapper: not a usable name: \(name)"
        case .invalidTable(let name, let reason): "\(name): not a device-mapper table: \(reason)"
        case .failed(let name, let operation, let code, ""): "\(name): device-mapper: \(operation): \(code)"
        case .failed(let name, let operation, let code, let message):
            "\(name): device-mapper: \(operation): \(code) (\(message))"
        }
    }
}
