/// Why something about a domain can't be done: `subject: what happened; the way out`, in words for the report.
public struct DomainProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// The whole sentence.
    public let description: String

    /// A problem in these words.
    public init(_ description: String) {
        self.description = description
    }
}
