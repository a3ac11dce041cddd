import ArgumentParser
import FoundationEssentials

/// The verbs and their options, as the commands themselves declare them.
struct Vocabulary {
    /// What an option is followed by.
    enum Kind: Equatable {
        case flag
        case value
    }

    /// The verb that is meant where none is written.
    let defaultVerb: String
    /// The options of each verb, by their names with dashes.
    let verbs: [String: [String: Kind]]
    /// The options of all verbs.
    let options: [String: Kind]

    /// Asks ArgumentParser for what it knows of a program: the document of `--experimental-dump-help`.
    init(of root: any ParsableCommand.Type) throws {
        let program = try JSONDecoder().decode(Declaration.self, from: Data(root._dumpHelp().utf8)).command
        defaultVerb = program.defaultSubcommand ?? ""
        verbs = Dictionary((program.subcommands ?? []).map { ($0.commandName, $0.options) }) { $1 }
        options = verbs.values.reduce(program.options) { $0.merging($1) { $1 } }
    }

    /// Takes a bundle of short options apart, and a value off the short option that it is joined to: `-vqcURI` is
    /// `-v -q -c=URI`. Anything else is one part.
    func parts(of argument: String) -> [String] {
        guard !argument.hasPrefix("--") else { return [argument] }
        var parts: [String] = []
        var letters = argument.dropFirst()
        while let letter = letters.popFirst() {
            let name = "-\(letter)"
            // ArgumentParser says what is wrong with it.
            guard let kind = options[name] else { return [argument] }
            if kind == .value, !letters.isEmpty {
                parts.append("\(name)=\(letters.first == "=" ? letters.dropFirst() : letters)")
                break
            }
            parts.append(name)
        }
        return parts
    }

    /// Whether the argument behind an option is its value.
    func takesNext(_ option: String) -> Bool { options[option] == .value }

    /// Refuses options that only another verb has.
    func refuse(_ names: [String], of verb: String) throws {
        for name in names where options[name] != nil && verbs[verb]?[name] == nil {
            let others = verbs.filter { $0.value[name] != nil }.keys.sorted().joined(separator: ", ")
            throw ValidationError("'\(name)' is an option of \(others), not of \(verb)")
        }
    }
}

/// What is of interest in ArgumentParser's description of a program.
private struct Declaration: Decodable {
    struct Command: Decodable {
        let commandName: String
        let defaultSubcommand: String?
        let subcommands: [Command]?
        let arguments: [Argument]?

        var options: [String: Vocabulary.Kind] {
            var options: [String: Vocabulary.Kind] = [:]
            for argument in arguments ?? [] {
                for name in argument.names ?? [] {
                    options[(name.kind == "long" ? "--" : "-") + name.name] = argument.kind == "option" ? .value : .flag
                }
            }
            return options
        }
    }

    struct Argument: Decodable {
        struct Name: Decodable {
            let kind: String
            let name: String
        }

        let kind: String
        let names: [Name]?
    }

    let command: Command
}
