/// A version of libvirt.
public struct LibraryVersion: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The 9 of 9.0.1.
    public let major: Int
    /// The 0 of 9.0.1.
    public let minor: Int
    /// The 1 of 9.0.1.
    public let release: Int

    /// Makes a version.
    ///
    /// - Parameters:
    ///   - major: the first number.
    ///   - minor: the second.
    ///   - release: the third.
    public init(major: Int, minor: Int, release: Int) {
        self.major = major
        self.minor = minor
        self.release = release
    }

    /// libvirt's form: major * 1,000,000 + minor * 1,000 + release (`virConnectGetLibVersion`).
    init(number: UInt) {
        self.init(major: Int(number / 1_000_000), minor: Int(number / 1_000 % 1_000), release: Int(number % 1_000))
    }

    /// `9.0.1`.
    public var description: String { "\(major).\(minor).\(release)" }

    /// Compares the numbers from left to right.
    public static func < (left: LibraryVersion, right: LibraryVersion) -> Bool {
        (left.major, left.minor, left.release) < (right.major, right.minor, right.release)
    }
}
