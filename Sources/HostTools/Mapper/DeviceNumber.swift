import CLinux
import Glibc
public import SystemPackage

/// Which device a node of /dev stands for.
public struct DeviceNumber: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Which driver.
    public var major: UInt32
    /// Which of its devices.
    public var minor: UInt32

    /// The device `major`:`minor`.
    public init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// Reads the form of sysfs's `dev` files: `7:3`, white space around it allowed.
    public init?(_ text: String) {
        let parts = text.filter { !$0.isWhitespace }.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else { return nil }
        self.init(major: major, minor: minor)
    }

    /// The device that the block device node `path` stands for; symbolic links are followed.
    ///
    /// - Throws: where there is no such file, or it is no block device (`ENOTBLK`).
    public init(ofNode path: String) throws(DeviceError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .current(path, "stat") }
        guard status.st_mode & S_IFMT == S_IFBLK else {
            throw DeviceError(path: path, operation: "not a block device", code: Errno(rawValue: ENOTBLK))
        }
        self.init(dev: status.st_rdev)
    }

    /// Whether device-mapper made the device (sysfs).
    var isMapped: Bool { Files.exists("/sys/dev/block/\(major):\(minor)/dm") }

    init(dev: dev_t) {
        self.init(major: shim_major(dev), minor: shim_minor(dev))
    }

    var dev: dev_t { shim_makedev(major, minor) }

    /// `major:minor`, the form that sysfs and device-mapper tables use.
    public var description: String { "\(major):\(minor)" }
}

/// How a device is made available.
public enum DeviceAccess: String, Hashable, Sendable, Codable {
    /// Writes are refused by the kernel.
    case readOnly
    /// Reads and writes.
    case readWrite
}

/// What went wrong with a device or its node.
public struct DeviceError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The device, or the file that was worked on.
    public var path: String
    /// What was tried: a system call, an ioctl.
    public var operation: String
    /// The kernel's answer.
    public var code: Errno
    /// The way out, where we know one.
    public var advice: String?

    /// Makes an error.
    public init(path: String, operation: String, code: Errno, advice: String? = nil) {
        self.path = path
        self.operation = operation
        self.code = code
        self.advice = advice
    }

    /// `path: operation: what the kernel said; the way out`.
    public var description: String {
        "\(path): \(operation): \(code)" + (advice.map { "; \($0)" } ?? "")
    }

    /// The failure of a call that has just returned.
    static func current(_ path: String, _ operation: String, advice: String? = nil) -> DeviceError {
        DeviceError(path: path, operation: operation, code: Errno(rawValue: errno), advice: advice)
    }
}
