internal import CLibxml2

/// One XPath evaluation: its context, and the object that it gave.
struct XPathResult: ~Copyable {
    private let storage: Storage
    private let context: xmlXPathContextPtr
    private let object: xmlXPathObjectPtr

    /// Evaluates an expression.
    ///
    /// Prefixes that the root element declares may be used in it. Variables are how text of others gets into it: they can't
    /// end a string literal.
    init(
        _ expression: String, variables: [String: String], in storage: Storage, at node: xmlNodePtr?
    ) throws(XMLError) {
        guard let context = xmlXPathNewContext(storage.document) else { throw XMLError(message: "out of memory") }
        // Without functions of ours libxml2 prints every error to standard error.
        shim_silence()
        context.pointee.error = { _, _ in }
        let root = xmlDocGetRootElement(storage.document)
        context.pointee.node = node ?? UnsafeMutableRawPointer(storage.document).assumingMemoryBound(to: xmlNode.self)
        var namespace = root?.pointee.nsDef
        while let current = namespace {
            if let prefix = current.pointee.prefix { xmlXPathRegisterNs(context, prefix, current.pointee.href) }
            namespace = current.pointee.next
        }
        for (name, value) in variables {
            xmlXPathRegisterVariable(context, name, xmlXPathNewString(value))
        }
        guard let object = xmlXPathEvalExpression(expression, context) else {
            let position = context.pointee.lastError.int1
            xmlXPathFreeContext(context)
            throw XMLError(message: "XPath '\(expression)': not valid at character \(position)")
        }
        self.storage = storage
        self.context = context
        self.object = object
    }

    deinit {
        xmlXPathFreeObject(object)
        xmlXPathFreeContext(context)
    }

    /// As by the XPath function `string()`.
    borrowing func string() -> String {
        String(adopting: xmlXPathCastToString(object)) ?? ""
    }

    /// As by the XPath function `boolean()`.
    borrowing func boolean() -> Bool {
        xmlXPathCastToBoolean(object) != 0
    }

    /// The text of every node of a node set; none when it isn't one.
    borrowing func strings() -> [String] {
        nodes().map { String(adopting: xmlXPathCastNodeToString($0)) ?? "" }
    }

    /// The elements of a node set in document order.
    borrowing func elements() -> [xmlNodePtr] {
        nodes().filter { $0.pointee.type == XML_ELEMENT_NODE }
    }

    private borrowing func nodes() -> [xmlNodePtr] {
        guard object.pointee.type == XPATH_NODESET, let set = object.pointee.nodesetval else { return [] }
        // XPath has no order; a document does.
        xmlXPathNodeSetSort(set)
        return (0..<Int(set.pointee.nodeNr)).compactMap { set.pointee.nodeTab[$0] }
    }
}
