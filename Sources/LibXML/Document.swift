internal import CLibxml2

/// An XML document that was written by somebody else: parsed, asked, edited, written.
///
/// Parsing fetches nothing, refuses document type declarations (and with them every entity bomb), nesting deeper than 256
/// (libxml2's `xmlParserMaxDepth`), and more than a number of bytes.
///
/// ```swift
/// let document = try Document(xml)
/// let name = try document.value(of: "string(/domain/name)")
/// try document.forEach("/domain/devices/disk") { disk in
///     print(disk.first("target")?.attribute("dev") ?? "?")
/// }
/// ```
///
/// It can't be copied and isn't `Sendable`: turn it into values where it was parsed.
public struct Document: ~Copyable {
    /// How large a document may be when nothing else is said: 16 MiB, in bytes. A domain's XML has some 10 KiB.
    public static let defaultLimit = 16 << 20

    private let storage: Storage

    /// Parses a text.
    ///
    /// - Parameters:
    ///   - xml: the document; the encoding that it declares is ignored.
    ///   - limit: how many bytes it may have in UTF-8.
    /// - Throws: ``XMLError`` with the line.
    public init(_ xml: String, limit: Int = defaultLimit) throws(XMLError) {
        try self.init(bytes: Array(xml.utf8), limit: limit)
    }

    /// Parses bytes.
    ///
    /// - Parameters:
    ///   - bytes: the document in UTF-8; the encoding that it declares is ignored.
    ///   - limit: how many bytes it may have.
    /// - Throws: ``XMLError`` with the line.
    public init(bytes: [UInt8], limit: Int = defaultLimit) throws(XMLError) {
        guard bytes.count <= limit else {
            throw XMLError(message: "\(bytes.count) bytes of XML, more than the \(limit) that are accepted")
        }
        let parser = try Parser()
        storage = try bytes.withUnsafeBufferPointer { bytes throws(XMLError) in
            try parser.parse(bytes)
        }
    }

    /// Evaluates an expression to a text, as the XPath function `string()` does: the first node's text, "" when there is none.
    ///
    /// - Parameters:
    ///   - expression: XPath 1.0. Prefixes that the root element declares may be used.
    ///   - variables: what `$name` in it stands for. Text of others belongs here, never into the expression.
    /// - Throws: ``XMLError`` when the expression isn't valid.
    public func value(of expression: String, _ variables: [String: String] = [:]) throws(XMLError) -> String {
        try evaluate(expression, variables).string()
    }

    /// The text of every node that an expression finds, in document order.
    ///
    /// - Parameters: as ``value(of:_:)``.
    /// - Throws: ``XMLError`` when the expression isn't valid.
    public func values(of expression: String, _ variables: [String: String] = [:]) throws(XMLError) -> [String] {
        try evaluate(expression, variables).strings()
    }

    /// Whether an expression is true, as the XPath function `boolean()` says: a node set is when it isn't empty.
    ///
    /// - Parameters: as ``value(of:_:)``.
    /// - Throws: ``XMLError`` when the expression isn't valid.
    public func matches(_ expression: String, _ variables: [String: String] = [:]) throws(XMLError) -> Bool {
        try evaluate(expression, variables).boolean()
    }

    /// Lends every element that an expression finds, in document order.
    ///
    /// - Parameters:
    ///   - expression: as ``value(of:_:)``.
    ///   - variables: as ``value(of:_:)``.
    ///   - body: gets one element; its error ends the loop.
    /// - Throws: ``XMLError`` when the expression isn't valid; what the body throws.
    public func forEach(
        _ expression: String, _ variables: [String: String] = [:], _ body: (borrowing Node) throws(XMLError) -> Void
    ) throws(XMLError) {
        for element in try evaluate(expression, variables).elements() {
            try body(Node(element, in: storage))
        }
    }

    /// Lends every element that an expression finds, in document order, and gives what the body makes of them.
    ///
    /// - Parameters: as ``forEach(_:_:_:)``.
    /// - Throws: ``XMLError`` when the expression isn't valid; what the body throws.
    public func map<Value>(
        _ expression: String, _ variables: [String: String] = [:], _ body: (borrowing Node) throws(XMLError) -> Value
    ) throws(XMLError) -> [Value] {
        var values: [Value] = []
        for element in try evaluate(expression, variables).elements() {
            values.append(try body(Node(element, in: storage)))
        }
        return values
    }

    /// Lends every element that an expression finds, to be edited.
    ///
    /// The elements are found before the first edit; one that an earlier edit took out of the document is left out.
    ///
    /// - Parameters:
    ///   - expression: as ``value(of:_:)``.
    ///   - variables: as ``value(of:_:)``.
    ///   - body: gets one element; its error ends the loop, edits until then stay.
    /// - Returns: how many elements were lent. A caller that means one element compares.
    /// - Throws: ``XMLError`` when the expression isn't valid; what the body throws.
    @discardableResult
    public mutating func edit(
        _ expression: String, _ variables: [String: String] = [:],
        _ body: (borrowing EditableNode) throws(XMLError) -> Void
    ) throws(XMLError) -> Int {
        var count = 0
        for element in try evaluate(expression, variables).elements() where storage.contains(element) {
            try body(EditableNode(element, in: storage))
            count += 1
        }
        return count
    }

    /// Takes every element that an expression finds out of the document, with what is in it. The root element stays.
    ///
    /// - Parameters: as ``value(of:_:)``.
    /// - Returns: how many there were.
    /// - Throws: ``XMLError`` when the expression isn't valid, or finds the root element.
    @discardableResult
    public mutating func remove(
        _ expression: String, _ variables: [String: String] = [:]
    ) throws(XMLError) -> Int {
        var count = 0
        let root = xmlDocGetRootElement(storage.document)
        for element in try evaluate(expression, variables).elements() where storage.contains(element) {
            guard element != root else { throw XMLError(message: "the root element can't be removed") }
            storage.remove(element)
            count += 1
        }
        return count
    }

    /// The document as text: without an XML declaration, not reformatted, what needs it escaped.
    ///
    /// - Throws: ``XMLError`` when libxml2 can't write it (it has no memory).
    public func serialized() throws(XMLError) -> String {
        guard let buffer = xmlBufferCreate() else { throw XMLError(message: "out of memory") }
        defer { xmlBufferFree(buffer) }
        guard let save = xmlSaveToBuffer(buffer, "UTF-8", Int32(XML_SAVE_NO_DECL.rawValue)) else {
            throw XMLError(message: "out of memory")
        }
        let written = xmlSaveDoc(save, storage.document)
        guard xmlSaveClose(save) >= 0, written >= 0, let text = String(copying: xmlBufferContent(buffer)) else {
            throw XMLError(message: "the document can't be written")
        }
        return text
    }

    private func evaluate(_ expression: String, _ variables: [String: String]) throws(XMLError) -> XPathResult {
        try XPathResult(expression, variables: variables, in: storage, at: nil)
    }
}
