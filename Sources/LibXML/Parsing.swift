internal import CLibxml2

/// Owns a parser context.
struct Parser: ~Copyable {
    private let context: xmlParserCtxtPtr

    /// `xmlInitParser` must have run before threads use the library (its documentation).
    private static let startUp: Void = xmlInitParser()

    init() throws(XMLError) {
        _ = Self.startUp
        guard let context = xmlNewParserCtxt() else { throw XMLError(message: "out of memory") }
        self.context = context
        // Stopped before the first declaration is read: no entity is ever defined, so none can expand.
        context.pointee.sax.pointee.internalSubset = { context, _, _, _ in
            guard let context else { return }
            xmlStopParser(context.assumingMemoryBound(to: xmlParserCtxt.self))
        }
    }

    deinit {
        xmlFreeParserCtxt(context)
    }

    /// Parses UTF-8, whatever encoding the document declares.
    borrowing func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(XMLError) -> Storage {
        guard let count = Int32(exactly: bytes.count) else { throw XMLError(message: "too large") }
        let options = XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue
        let document = bytes.withMemoryRebound(to: CChar.self) { text in
            xmlCtxtReadMemory(context, text.baseAddress, count, nil, "UTF-8", Int32(options))
        }
        guard let document else { throw failure() }
        let storage = Storage(owning: document)
        // A parser that was stopped gives what it has, and calls it well-formed.
        guard context.pointee.errNo != Int32(XML_ERR_USER_STOP.rawValue), context.pointee.wellFormed != 0,
            xmlDocGetRootElement(document) != nil
        else { throw failure() }
        return storage
    }

    private borrowing func failure() -> XMLError {
        if context.pointee.errNo == Int32(XML_ERR_USER_STOP.rawValue) {
            let line = context.pointee.input.map { Int($0.pointee.line) }
            return XMLError(line: line, message: "a document type declaration is not accepted")
        }
        guard let error = xmlCtxtGetLastError(context)?.pointee else { return XMLError(message: "not XML") }
        var message = error.message.map { String(cString: $0) } ?? "error \(error.code)"
        while message.last?.isWhitespace == true { message.removeLast() }
        return XMLError(line: error.line > 0 ? Int(error.line) : nil, message: message)
    }
}
