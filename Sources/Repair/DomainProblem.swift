/// Why something about a domain can't be done: `subject: what happened; the way out`, in words for the report.
public struct DomainProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// What it does to a domain's row of the report.
    public enum Kind: Hashable, Sendable {
        /// Something went wrong.
        case failure
        /// Nothing was done, on purpose.
        case refusal
    }

    /// The whole sentence.
    public let description: String
    /// What it does to the domain's row.
    public let kind: Kind

    /// A problem in these words.
    public init(_ description: String, kind: Kind = .failure) {
        self.description = description
        self.kind = kind
    }
}
