import CLinux
import Glibc
public import SystemPackage

/// Owner, mode and extended attributes (ACL, SELinux label) of a file: what a file that takes another's place must have, and
/// what a file that others handled must get back.
public struct FileAttributes: Hashable, Sendable, Codable {
    private let userID: UInt32
    private let groupID: UInt32
    private let mode: UInt32
    private let extended: [String: [UInt8]]

    /// Reads those of `path`, symbolic links followed.
    ///
    /// - Throws: `Errno`.
    public init(of path: String) throws(Errno) {
        let status = try FileStatus(of: path)
        userID = status.userID
        groupID = status.groupID
        mode = status.mode
        extended = try Self.extendedAttributes(of: path)
    }

    /// Gives them to another file. An attribute that its filesystem doesn't know is left out.
    ///
    /// - Throws: `Errno`.
    public func apply(to path: String) throws(Errno) {
        guard chown(path, userID, groupID) == 0, chmod(path, mode) == 0 else { throw Errno(rawValue: errno) }
        // An ACL after the mode, whose group bits are the ACL's mask.
        for (name, value) in extended {
            guard setxattr(path, name, value, value.count, 0) == 0 || errno == ENOTSUP || errno == EPERM else {
                throw Errno(rawValue: errno)
            }
        }
    }

    /// Gives them back to the file that had them, and takes what it got since. A file that has them is not touched.
    ///
    /// - Throws: `Errno`.
    public func restore(_ path: String) throws(Errno) {
        let now = try FileAttributes(of: path)
        guard now != self else { return }
        for name in now.extended.keys where extended[name] == nil {
            guard removexattr(path, name) == 0 || errno == ENODATA || errno == ENOTSUP || errno == EPERM else {
                throw Errno(rawValue: errno)
            }
        }
        try apply(to: path)
    }

    /// Whether an ACL says more than the mode.
    public var hasACL: Bool { extended["system.posix_acl_access"] != nil }

    private static func extendedAttributes(of path: String) throws(Errno) -> [String: [UInt8]] {
        let listSize = listxattr(path, nil, 0)
        guard listSize > 0 else { return [:] }
        var list = [CChar](repeating: 0, count: listSize)
        let count = listxattr(path, &list, list.count)
        guard count >= 0 else { throw Errno(rawValue: errno) }
        var attributes: [String: [UInt8]] = [:]
        for bytes in list[..<count].split(separator: 0) {
            let name = String(decoding: bytes.map(UInt8.init(bitPattern:)), as: UTF8.self)
            // libvirt's own notes about the disk's former owner belong to the disk only, and to libvirt.
            guard !name.hasPrefix("trusted.libvirt.") else { continue }
            var value = [UInt8](repeating: 0, count: max(0, getxattr(path, name, nil, 0)))
            guard getxattr(path, name, &value, value.count) == value.count else { continue }
            attributes[name] = value
        }
        return attributes
    }
}
