internal import CLibxml2

/// An element of a document, lent inside a closure.
///
/// It can't be copied, and a closure that only borrows one can't keep it. What it gives, ``first(_:)`` and
/// ``children(_:)`` included, stays valid while somebody holds it, whatever is edited: the worst that holding on can do is to see an
/// element that is no longer in the document.
public struct Node: ~Copyable {
    private let pointer: xmlNodePtr
    private let storage: Storage

    init(_ pointer: xmlNodePtr, in storage: Storage) {
        self.pointer = pointer
        self.storage = storage
    }

    /// The name, without its prefix.
    public var name: String { pointer.localName }

    /// The line in the text that was parsed, from 1; 0 for an element that an edit added.
    public var line: Int { xmlGetLineNo(pointer) }

    /// All text inside, that of inner elements included.
    public var text: String { String(adopting: xmlNodeGetContent(pointer)) ?? "" }

    /// The value of an attribute, nil when the element doesn't have it.
    ///
    /// - Parameter name: without a prefix; attributes with one are read by XPath.
    public func attribute(_ name: String) -> String? {
        String(adopting: xmlGetNoNsProp(pointer, name))
    }

    /// The first child element with a name, nil when there is none.
    ///
    /// - Parameter name: without a prefix; elements in a namespace are read by XPath.
    public func first(_ name: String) -> Node? {
        for child in ChildElements(of: pointer) where child.isPlain(name) {
            return Node(child, in: storage)
        }
        return nil
    }

    /// Lends every child element with a name, in document order, and gives what the body makes of them.
    ///
    /// - Parameters:
    ///   - name: without a prefix; elements in a namespace are read by XPath.
    ///   - body: gets one element; its error ends the loop.
    /// - Throws: what the body throws.
    @discardableResult
    public func children<Value, Failure: Error>(
        _ name: String, _ body: (borrowing Node) throws(Failure) -> Value
    ) throws(Failure) -> [Value] {
        var values: [Value] = []
        for child in ChildElements(of: pointer) where child.isPlain(name) {
            values.append(try body(Node(child, in: storage)))
        }
        return values
    }

    /// Evaluates an expression from this element to a text; as ``Document/value(of:_:)``.
    ///
    /// - Parameters:
    ///   - expression: XPath 1.0, such as `string(source/@file)`.
    ///   - variables: what `$name` in it stands for.
    /// - Throws: ``XMLError`` when the expression isn't valid.
    public func value(of expression: String, _ variables: [String: String] = [:]) throws(XMLError) -> String {
        try XPathResult(expression, variables: variables, in: storage, at: pointer).string()
    }

    /// The text of every node that an expression finds from this element, in document order; as ``Document/values(of:_:)``.
    ///
    /// - Parameters:
    ///   - expression: XPath 1.0, such as `source/@*`.
    ///   - variables: what `$name` in it stands for.
    /// - Throws: ``XMLError`` when the expression isn't valid.
    public func values(of expression: String, _ variables: [String: String] = [:]) throws(XMLError) -> [String] {
        try XPathResult(expression, variables: variables, in: storage, at: pointer).strings()
    }

    /// Whether an expression is true from this element; as ``Document/matches(_:_:)``.
    ///
    /// - Parameters:
    ///   - expression: XPath 1.0, such as `shareable`.
    ///   - variables: what `$name` in it stands for.
    /// - Throws: ``XMLError`` when the expression isn't valid.
    public func matches(_ expression: String, _ variables: [String: String] = [:]) throws(XMLError) -> Bool {
        try XPathResult(expression, variables: variables, in: storage, at: pointer).boolean()
    }

    /// A copy of the element with everything in it, except comments and the white space between elements.
    ///
    /// - Throws: ``XMLError`` with the line when a value can't hold it: a namespace is used, or text follows an element.
    public func element() throws(XMLError) -> XMLElement {
        try pointer.element()
    }
}
