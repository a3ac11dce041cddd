/// What is wrong with a document, an XPath expression or an edit.
public struct XMLError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The line in the document, from 1; nil when the error isn't in the text of one.
    public let line: Int?
    /// What is wrong.
    public let message: String

    /// Makes an error.
    ///
    /// - Parameters:
    ///   - line: the line in the document, from 1, if there is one.
    ///   - message: what is wrong.
    public init(line: Int? = nil, message: String) {
        self.line = line
        self.message = message
    }

    /// `line 3: message`, or the message.
    public var description: String {
        line.map { "line \($0): \(message)" } ?? message
    }
}
