import ArgumentParser

/// A command line in the order that ArgumentParser wants: the verb first.
///
/// ArgumentParser knows a verb as the very first argument only. Behind an option it would be the name of a domain, and the
/// default verb would repair what follows. So the verb is found here: it is the first word that is neither an option nor
/// the value of one.
struct Arguments {
    /// Verbs that a later version may have: `virt-fsck undo web1` must not repair a domain until then.
    static let reserved: Set = ["undo", "log", "status"]

    /// The same arguments with the verb first, and bundles of short options taken apart: `-vc URI` is `-v -c URI`.
    private(set) var ordered: [String] = []
    /// The verb; nil where none was written and the default one is meant.
    private(set) var verb: String?
    /// What is neither an option, nor the value of one, nor the verb.
    private(set) var words: [String] = []
    /// Where no verb was written, the word in the place of one: the first, also behind `--`; nil where there is none.
    private(set) var wordInPlaceOfVerb: String?

    /// Finds the verb.
    ///
    /// - Parameter arguments: what was written behind the program's name.
    /// - Throws: `ValidationError` where a verb stands behind a domain, where a word may become a verb, and where an option
    ///   belongs to another verb.
    init(_ arguments: [String], _ vocabulary: Vocabulary) throws {
        let end = arguments.firstIndex(of: "--") ?? arguments.endIndex
        var options: [String] = []
        var rest = arguments[..<end]
        while let argument = rest.popFirst() {
            if Self.isWord(argument) {
                if verb == nil, words.isEmpty, vocabulary.verbs.keys.contains(argument) {
                    verb = argument
                } else {
                    words.append(argument)
                    ordered.append(argument)
                }
                continue
            }
            let parts = vocabulary.parts(of: argument)
            options += parts.map { String($0.prefix { $0 != "=" }) }
            ordered += parts
            // Where the value is missing, ArgumentParser says so.
            if let last = parts.last, vocabulary.takesNext(last), let next = rest.first, Self.isWord(next) {
                ordered.append(rest.removeFirst())
            }
        }
        words += arguments[end...].dropFirst()
        if verb == nil { try refuseVerbs(vocabulary) }
        if verb == "help" {
            // Whoever asks for help gets it.
            ordered = words
        } else {
            try vocabulary.refuse(options, of: verb ?? vocabulary.defaultVerb)
        }
        if verb == nil { wordInPlaceOfVerb = words.first }
        ordered += arguments[end...]
        if let verb { ordered.insert(verb, at: 0) }
    }

    /// A single dash is a word, as it is to ArgumentParser.
    private static func isWord(_ argument: String) -> Bool { !argument.hasPrefix("-") || argument == "-" }

    /// Refuses verbs among the names of domains that the default verb would repair.
    private func refuseVerbs(_ vocabulary: Vocabulary) throws {
        for word in words {
            let way = "a domain of that name: virt-fsck \(vocabulary.defaultVerb) \(word), or its UUID"
            if Self.reserved.contains(word) {
                throw ValidationError("'\(word)' is not a verb of this version of virt-fsck; \(way)")
            }
            if vocabulary.verbs.keys.contains(word) {
                throw ValidationError("'\(word)' is a verb, which stands before domains: virt-fsck \(word) …; \(way)")
            }
        }
    }
}
