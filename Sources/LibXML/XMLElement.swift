/// An element as a value: what an edit puts into a document, or a copy of what is there.
public struct XMLElement: Hashable, Sendable {
    /// An attribute; its value is plain text, nothing in it is escaped.
    public struct Attribute: Hashable, Sendable {
        /// The name, without a prefix.
        public let name: String
        /// The value.
        public let value: String

        /// Makes an attribute.
        ///
        /// - Parameters:
        ///   - name: without a prefix.
        ///   - value: plain text.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The name, without a prefix.
    public var name: String
    /// The attributes in their order.
    public var attributes: [Attribute]
    /// The text before the children; plain, nothing in it is escaped.
    public var text: String
    /// The elements inside.
    public var children: [XMLElement]

    /// Makes an element: `XMLElement("source", ["file": path])`.
    ///
    /// - Parameters:
    ///   - name: without a prefix.
    ///   - attributes: in this order.
    ///   - text: plain text before the children.
    ///   - children: the elements inside.
    public init(
        _ name: String, _ attributes: KeyValuePairs<String, String> = [:], text: String = "",
        children: [XMLElement] = []
    ) {
        self.name = name
        self.attributes = attributes.map { Attribute(name: $0.key, value: $0.value) }
        self.text = text
        self.children = children
    }

    /// The value of an attribute, nil when it doesn't have it.
    ///
    /// - Parameter name: without a prefix.
    public func attribute(_ name: String) -> String? {
        attributes.first { $0.name == name }?.value
    }
}
