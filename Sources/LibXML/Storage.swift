internal import CLibxml2

/// Owns a document's C tree, for the ``Document`` and for every node lent from it.
///
/// What an edit takes out of the tree stays allocated until the tree is freed, so that no node, however long somebody
/// holds it, ever dangles.
final class Storage {
    let document: xmlDocPtr
    private var removed: [xmlNodePtr] = []

    init(owning document: xmlDocPtr) {
        self.document = document
    }

    deinit {
        // First: their names live in the document's dictionary.
        for node in removed { xmlFreeNode(node) }
        xmlFreeDoc(document)
    }

    /// Takes a node out of the tree.
    func remove(_ node: xmlNodePtr) {
        xmlUnlinkNode(node)
        removed.append(node)
    }
}

extension String {
    /// Copies text of libxml2 (UTF-8), nil for NULL.
    init?(copying text: UnsafePointer<xmlChar>?) {
        guard let text else { return nil }
        self.init(cString: text)
    }

    /// Copies text that libxml2 allocated, and frees it; nil for NULL.
    init?(adopting text: UnsafeMutablePointer<xmlChar>?) {
        guard let text else { return nil }
        self.init(cString: text)
        shim_xmlFree(text)
    }
}
