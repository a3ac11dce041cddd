/// What is being done right now, for whoever waits.
public struct ProgressEvent: Hashable, Sendable {
    /// Which domain.
    public var domain: String
    /// What is being done: `checking VolGroup00/LogVol00 (ext4, 8.0 GiB)`.
    public var text: String

    /// Something that is done to a domain.
    public init(domain: String, text: String) {
        self.domain = domain
        self.text = text
    }
}
