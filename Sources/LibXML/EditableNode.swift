internal import CLibxml2

/// An element of a document that may be changed, lent inside the closure of ``Document/edit(_:_:_:)``.
///
/// Values are plain text; what needs it is escaped when the document is written. What XML can't hold (control characters, a
/// name with a space) is refused.
public struct EditableNode: ~Copyable {
    private let pointer: xmlNodePtr
    private let storage: Storage

    init(_ pointer: xmlNodePtr, in storage: Storage) {
        self.pointer = pointer
        self.storage = storage
    }

    /// The same element, to be read.
    public var node: Node { Node(pointer, in: storage) }

    /// Sets an attribute, new or existing.
    ///
    /// - Parameters:
    ///   - name: without a prefix.
    ///   - value: plain text.
    /// - Throws: ``XMLError`` when XML can't hold the name or the value.
    public func setAttribute(_ name: String, to value: String) throws(XMLError) {
        try checkXML(name: name)
        try checkXML(text: value)
        guard xmlSetNsProp(pointer, nil, name, value) != nil else { throw XMLError(message: "out of memory") }
    }

    /// Removes an attribute; nothing happens when the element doesn't have it.
    ///
    /// - Parameter name: without a prefix.
    public func removeAttribute(_ name: String) {
        xmlUnsetNsProp(pointer, nil, name)
    }

    /// Adds an element behind the last child.
    ///
    /// - Parameter element: what to add.
    /// - Throws: ``XMLError`` when XML can't hold a name or a text in it; nothing is added then.
    public func append(_ element: XMLElement) throws(XMLError) {
        xmlAddChild(pointer, try storage.build(element))
    }

    /// Removes the child elements with a name.
    ///
    /// - Parameter name: without a prefix; elements in a namespace are removed by ``Document/remove(_:_:)``.
    /// - Returns: how many there were.
    @discardableResult
    public func removeChildren(_ name: String) -> Int {
        let children = ChildElements(of: pointer).filter { $0.isPlain(name) }
        for child in children { storage.remove(child) }
        return children.count
    }

    /// Puts elements in the place of the child elements with a name: where the first of them was, or behind the last child.
    ///
    /// - Parameters:
    ///   - name: without a prefix.
    ///   - elements: what to put there, in this order; their name may be another one.
    /// - Throws: ``XMLError`` when XML can't hold a name or a text in them; nothing is changed then.
    public func replaceChildren(_ name: String, with elements: [XMLElement]) throws(XMLError) {
        let built = try storage.build(elements)
        let children = ChildElements(of: pointer).filter { $0.isPlain(name) }
        for element in built {
            if let place = children.first {
                xmlAddPrevSibling(place, element)
            } else {
                xmlAddChild(pointer, element)
            }
        }
        for child in children { storage.remove(child) }
    }

    /// Lends the first child element with a name to be edited, an empty one at the end when there is none.
    ///
    /// - Parameters:
    ///   - name: without a prefix.
    ///   - body: gets the child.
    /// - Throws: ``XMLError`` when XML can't hold the name; what the body throws.
    public func editChild(
        _ name: String, _ body: (borrowing EditableNode) throws(XMLError) -> Void
    ) throws(XMLError) {
        if let child = ChildElements(of: pointer).first(where: { $0.isPlain(name) }) {
            try body(EditableNode(child, in: storage))
        } else {
            let child = try storage.build(XMLElement(name))
            xmlAddChild(pointer, child)
            try body(EditableNode(child, in: storage))
        }
    }
}
