internal import CLibxml2

/// The child elements of a node, in document order.
struct ChildElements: Sequence, IteratorProtocol {
    private var upcoming: xmlNodePtr?

    init(of node: xmlNodePtr) {
        upcoming = xmlFirstElementChild(node)
    }

    mutating func next() -> xmlNodePtr? {
        guard let node = upcoming else { return nil }
        upcoming = xmlNextElementSibling(node)
        return node
    }
}

extension xmlNodePtr {
    var localName: String { String(copying: pointee.name) ?? "" }

    /// Whether the element has this name and no namespace.
    func isPlain(_ name: String) -> Bool {
        pointee.ns == nil && xmlStrEqual(pointee.name, name) != 0
    }

    /// The element as a value. The recursion is bounded: the parser accepts a depth of 256.
    func element() throws(XMLError) -> XMLElement {
        guard pointee.ns == nil, pointee.nsDef == nil else {
            throw XMLError(line: xmlGetLineNo(self), message: "<\(localName)> uses a namespace")
        }
        var element = XMLElement(localName)
        var attribute = pointee.properties
        while let current = attribute {
            let name = String(copying: current.pointee.name) ?? ""
            guard current.pointee.ns == nil else {
                throw XMLError(line: xmlGetLineNo(self), message: "the attribute '\(name)' uses a namespace")
            }
            let value = String(adopting: xmlNodeListGetString(pointee.doc, current.pointee.children, 1)) ?? ""
            element.attributes.append(XMLElement.Attribute(name: name, value: value))
            attribute = current.pointee.next
        }
        var child = pointee.children
        while let current = child {
            switch current.pointee.type {
            case XML_ELEMENT_NODE:
                element.children.append(try current.element())
            case XML_TEXT_NODE, XML_CDATA_SECTION_NODE:
                let text = String(copying: current.pointee.content) ?? ""
                if element.children.isEmpty {
                    element.text += text
                } else if !text.allSatisfy(\.isWhitespace) {
                    throw XMLError(
                        line: xmlGetLineNo(self), message: "<\(localName)> has text behind an element")
                }
            default:
                break
            }
            child = current.pointee.next
        }
        if !element.children.isEmpty, element.text.allSatisfy(\.isWhitespace) { element.text = "" }
        return element
    }
}

extension Storage {
    /// Whether a node is still in the tree, and not in what an edit took out.
    func contains(_ node: xmlNodePtr) -> Bool {
        var top = node
        while let parent = top.pointee.parent { top = parent }
        return top.pointee.type == XML_DOCUMENT_NODE
    }

    /// Makes a node, not yet in the tree. All of it is checked first, so that nothing is half built.
    func build(_ element: XMLElement) throws(XMLError) -> xmlNodePtr {
        try element.check()
        return try make(element)
    }

    /// Makes nodes, not yet in the tree; all are checked first.
    func build(_ elements: [XMLElement]) throws(XMLError) -> [xmlNodePtr] {
        for element in elements { try element.check() }
        return try elements.map { element throws(XMLError) in try make(element) }
    }

    private func make(_ element: XMLElement) throws(XMLError) -> xmlNodePtr {
        guard let node = xmlNewDocNode(document, nil, element.name, nil) else {
            throw XMLError(message: "out of memory")
        }
        for attribute in element.attributes { xmlSetNsProp(node, nil, attribute.name, attribute.value) }
        // Not the last parameter of xmlNewDocNode: that one is parsed for entities.
        if !element.text.isEmpty { xmlAddChild(node, xmlNewDocText(document, element.text)) }
        for child in element.children { xmlAddChild(node, try make(child)) }
        return node
    }
}

extension XMLElement {
    fileprivate func check() throws(XMLError) {
        try checkXML(name: name)
        try checkXML(text: text)
        for attribute in attributes {
            try checkXML(name: attribute.name)
            try checkXML(text: attribute.value)
        }
        for child in children { try child.check() }
    }
}

/// Refuses what isn't a name without a prefix (NCName of "Namespaces in XML 1.0").
func checkXML(name: String) throws(XMLError) {
    guard !name.utf8.contains(0), xmlValidateNCName(name, 0) == 0 else {
        throw XMLError(message: "'\(name.debugDescription)' is not a name for an element or an attribute")
    }
}

/// Refuses what no escape can bring into XML (production Char of XML 1.0): control characters, and two noncharacters.
func checkXML(text: String) throws(XMLError) {
    for scalar in text.unicodeScalars {
        switch scalar.value {
        case 0x9, 0xA, 0xD, 0x20...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: continue
        default: throw XMLError(message: "U+\(String(scalar.value, radix: 16, uppercase: true)) can't be in XML")
        }
    }
}
