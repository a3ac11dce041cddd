import ArgumentParser
import Foundation
import Repair
import Testing

@testable import virt_fsck

/// What a command line means: what would run, without running it.
struct CommandLineTests {
    @Test(arguments: ["repair", "check", "list", "recover"], options)
    func `an option means the same before and after the verb`(_ verb: String, _ option: [String]) throws {
        let domains = verb == "list" || option.contains("--all") ? [] : ["web1"]
        let orders = [option + [verb] + domains, [verb] + option + domains, [verb] + domains + option]
        if let meant = meaning(orders[0]) {
            #expect(meant.verb == verb)
            #expect(meant.domains == domains)
            // ArgumentParser gets the very same words.
            #expect(try arguments(orders[0]).ordered == arguments(orders[1]).ordered)
            #expect(try arguments(orders[2]).words == domains)
        } else {
            // The verb has no such option: a usage error says so.
            for order in orders { #expect(usageError(order)?.contains(", not of \(verb)") == true) }
        }
    }

    @Test(arguments: options.filter { !["--keep", "--discard"].contains($0[0]) })
    func `an option means the same with the default verb and with its name`(_ option: [String]) throws {
        let domains = option.contains("--all") ? [] : ["web1"]
        for order in [option + domains, domains + option] {
            let implicit = try arguments(order)
            #expect(implicit.words == domains)
            #expect(try ["repair"] + implicit.ordered == arguments(["repair"] + order).ordered)
        }
    }

    @Test func `the verb that is meant where none is written is repair`() throws {
        for order in [["web1"], ["--json", "web1"], ["-c", "check", "web1"], ["web1", "--json"], ["--", "web1"]] {
            #expect(try Meaning(order) == Meaning(["repair"] + order))
        }
    }

    @Test func `each verb runs its own command`() throws {
        let types: [(String, any ParsableCommand.Type)] = [
            ("repair", RepairCommand.self), ("check", CheckCommand.self), ("list", ListCommand.self),
            ("recover", RecoverCommand.self), ("version", VersionCommand.self),
        ]
        for (verb, type) in types {
            let line = verb == "version" ? [verb] : ["-q", verb] + (verb == "list" ? [] : ["web1"])
            let command = try VirtFsck.parseAsRoot(arguments(line).ordered)
            #expect(Swift.type(of: command) == type)
        }
    }

    @Test(arguments: [
        ["-c", "check"], ["--connect=check"], ["-ccheck"], ["-c=check"], ["-vc", "check"], ["-vqccheck"],
        ["--include", "check", "--all"], ["--include=check", "--all"], ["--scratch-dir", "/check"],
    ])
    func `the value of an option is neither a verb nor a domain`(_ option: [String]) throws {
        let domains = option.contains("--all") ? [] : ["web1"]
        let checked = try Meaning(option + ["check"] + domains)
        #expect(checked.verb == "check")
        #expect(checked.domains == domains)
        #expect(try Meaning(["check"] + domains + option) == checked)
        let repaired = try Meaning(option + domains)
        #expect(repaired.verb == "repair")
        #expect(repaired.domains == domains)
        let other = option.contains("--all") || option[0] == "--scratch-dir"
        #expect(repaired.connect == (other ? nil : "check"))
        #expect(repaired.connect == checked.connect)
    }

    @Test(arguments: [
        "--no-start check g2", "--no-wait check g2", "--yes check --all", "-v check g2", "-q check g2",
        "-c URI check g2", "--json check g2", "-v --engine nbd check g2", "--start never --no-start check g2",
        "--dry-run check g2",
    ])
    func `what was meant as a check never repairs`(_ line: String) throws {
        let meant = meaning(line.split(separator: " ").map(String.init))
        #expect(meant == nil || meant?.verb == "check")
    }

    @Test func `repair's promises that a check keeps in any case are accepted`() throws {
        for option in ["--no-start", "--no-wait", "--yes"] {
            #expect(try Meaning([option, "check", "g2"]) == Meaning(["check", "g2"]))
            #expect(try Meaning(["check", "g2", option]) == Meaning(["check", "g2"]))
        }
        for option in [["--commit", "never"], ["--start", "always"], ["--force-off"], ["--boot-timeout=3"]] {
            #expect(usageError(option + ["check", "g2"])?.contains("is an option of repair, not of check") == true)
        }
    }

    @Test(arguments: verbs)
    func `a domain that is called like a verb is reached by a verb`(_ name: String) throws {
        for verb in ["repair", "check", "recover"] {
            let meant = try Meaning(["-v", verb, name, "web1"])
            #expect(meant.verb == verb)
            #expect(meant.domains == [name, "web1"])
            #expect(try Meaning([verb, "-v", "--", name, "web1"]) == meant)
        }
        for arguments in [["-v", "--", name], ["--", name, "web1"], ["--no-start", "--", "web1", name]] {
            #expect(usageError(arguments)?.contains("'\(name)' is a verb, which stands before domains") == true)
        }
    }

    @Test(arguments: verbs)
    func `a verb behind a domain is a usage error that says what to write`(_ verb: String) throws {
        for arguments in [["web1", verb], ["-v", "web1", verb], ["web1", "--engine", "nbd", "web2", verb]] {
            let error = try #require(usageError(arguments))
            #expect(error.contains("virt-fsck \(verb) …"))
            #expect(error.contains("a domain of that name: virt-fsck repair \(verb), or its UUID"))
        }
    }

    @Test(arguments: ["/srv/a\nb", "/srv/a\tb", "/srv/\u{1}", "/srv/\u{7F}", "srv"])
    func `a scratch folder that a domain's XML can't name is a usage error`(_ folder: String) {
        for verb in ["repair", "check"] {
            #expect(usageError([verb, "--scratch-dir", folder, "web1"])?.contains("--scratch-dir: ") == true)
        }
    }

    @Test(arguments: ["undo", "log", "status"])
    func `a verb of a later version is not a domain`(_ word: String) throws {
        for arguments in [[word], [word, "web1"], ["-v", word, "web1"], ["web1", word], [word, "--all"]] {
            let error = try #require(usageError(arguments))
            #expect(error.contains("'\(word)' is not a verb of this version"))
            #expect(error.contains("virt-fsck repair \(word)"))
        }
        #expect(try Meaning(["repair", word]).domains == [word])
        #expect(try Meaning(["check", word]).domains == [word])
    }

    @Test(arguments: ["--chekc", "-x", "-vx", "---v", "--dry-run=no", "-c", "--include", "--engine=ndb"])
    func `what is no option does nothing, wherever it stands`(_ option: String) {
        for arguments in [
            [option, "check", "web1"], ["check", option, "--", "web1"], [option], [option, "--", "check"],
        ] {
            let meant = meaning(arguments)
            // A value that is missing takes the word behind it.
            #expect(meant == nil || meant?.connect == "check" && meant?.domains == ["web1"])
        }
    }

    @Test func `help and version are verbs`() throws {
        #expect(try Meaning(["version"]).verb == "version")
        for arguments in [["help"], ["--help"], ["-h"]] {
            #expect(try help(arguments).contains("virt-fsck [repair] [<options>] <domain> ... | --all"))
        }
        for arguments in [["help", "check"], ["-v", "help", "check"], ["check", "-h"], ["-h", "check"]] {
            #expect(try help(arguments).contains("throw-away overlays"))
        }
        #expect(usageError(["web1", "help"]) != nil)
        #expect(usageError(["web1", "version"]) != nil)
    }

    @Test func `the words that are found are the ones that ArgumentParser takes`() throws {
        let options = try vocabulary.get().options.keys.sorted().filter { !["-h", "--help", "--version"].contains($0) }
        let others = [
            "undo", "web1", "web2", "never", "nbd", "2", "/x", "-", "--", "", "-vq", "-vc", "-qcU", "-cU", "-c=U",
            "-cv", "--connect=U", "--jobs=2", "--json=1", "--engine=fuse", "-x",
        ]
        let tokens = verbs.filter { $0 != "help" } + options + others
        var random = SystemRandomNumberGenerator()
        var understood = 0
        for _ in 0..<3_000 where understood < 30 {
            let count = Int.random(in: 2...5, using: &random)
            let line = (1...count).compactMap { _ in tokens.randomElement(using: &random) }
            guard let arguments = try? arguments(line), let meant = meaning(line) else { continue }
            understood += 1
            #expect(meant.verb == arguments.verb ?? "repair", "\(line)")
            #expect(meant.domains == arguments.words, "\(line)")
        }
        #expect(understood == 30)
    }

    @Test func `verbs agree on what each option takes, and each takes one value at most`() throws {
        let vocabulary = try vocabulary.get()
        #expect(vocabulary.verbs.keys.sorted() == verbs.sorted())
        for (name, kind) in vocabulary.verbs.values.joined() { #expect(vocabulary.options[name] == kind, "\(name)") }
        #expect(vocabulary.options["-c"] == .value)
        #expect(vocabulary.options["--commit"] == .value)
        #expect(vocabulary.options["--no-start"] == .flag)
        let strategies = VirtFsck._dumpHelp().matches(of: /"parsingStrategy" *: *"(\w+)"/).map { String($0.output.1) }
        #expect(strategies.count > 20)
        #expect(Set(strategies) == ["default"], "another strategy takes values that Arguments doesn't know of")
    }

    @Test func `where the first of several words is no domain, nothing is done`() async throws {
        let command = try #require(
            VirtFsck.parseAsRoot(["repair", "-c", "test:///default", "chekc", "test"]) as? RepairCommand)
        await #expect(throws: ValidationError.self) { try await command.refuseUnlessDomain("chekc") }
        try await command.refuseUnlessDomain("test")
        let unreachable = try #require(
            VirtFsck.parseAsRoot(["repair", "-c", "test:///no/such", "a", "b"]) as? RepairCommand)
        try await unreachable.refuseUnlessDomain("a")
    }
}

/// What the verbs are and have.
private let vocabulary = Result { try Vocabulary(of: VirtFsck.self) }

/// Every verb.
private let verbs = ["repair", "check", "list", "recover", "help", "version"]

/// Options of which each verb has some.
private let options = [
    ["-c", "test:///default"], ["--connect=recover"], ["-ccheck"], ["--json"], ["-q"], ["--verbose"], ["-vq"],
    ["-qvc", "list"], ["--engine", "nbd"], ["--dry-run"], ["--scratch-dir", "/x"], ["--allow", "no-sandbox"],
    ["--jobs=3"],
    ["--all"], ["--include", "check", "--all"], ["--commit", "never"], ["--start=always"], ["--no-start"],
    ["--boot-timeout", "5"], ["--no-wait"], ["--force-off"], ["--discard-saved-state"], ["--all", "--yes"], ["--keep"],
    ["--discard"],
]

/// A command line, in ArgumentParser's order.
private func arguments(_ line: [String]) throws -> Arguments { try Arguments(line, vocabulary.get()) }

/// What would run.
private struct Meaning: Equatable {
    var verb: String
    var domains: [String] = []
    var connect: String?
    /// Every other value, by the name of its property.
    var values: [String: String] = [:]

    init(_ line: [String]) throws {
        let arguments = try arguments(line)
        // The same as `VirtFsck.parseAsRoot`, and three times as quick.
        let command =
            switch arguments.verb {
            case "check": try CheckCommand.parse(Array(arguments.ordered.dropFirst())) as any ParsableCommand
            case "repair": try RepairCommand.parse(Array(arguments.ordered.dropFirst()))
            case "list": try ListCommand.parse(Array(arguments.ordered.dropFirst()))
            case "recover": try RecoverCommand.parse(Array(arguments.ordered.dropFirst()))
            default: try VirtFsck.parseAsRoot(arguments.ordered)
            }
        guard let meaning = Meaning(command) else { throw CleanExit.helpRequest() }
        self = meaning
    }

    /// Nil for ArgumentParser's own commands.
    init?(_ command: any ParsableCommand) {
        switch command {
        case let command as RepairCommand:
            verb = "repair"
            take(command.common)
            values["commit"] = "\(command.commit)"
            values["start"] = "\(String(describing: command.start))"
            values["bootTimeout"] = "\(command.bootTimeout)"
            values["noWait"] = "\(command.noWait)"
            values["noStart"] = "\(command.noStart)"
            values["discardSavedState"] = "\(command.discardSavedState)"
            values["shutDown"] = "\(command.shutDown)"
            values["forceOff"] = "\(command.forceOff)"
            values["yes"] = "\(command.yes)"
        case let command as CheckCommand:
            verb = "check"
            take(command.common)
        case let command as ListCommand:
            verb = "list"
            take(command.session)
            values["all"] = "\(command.all)"
        case let command as RecoverCommand:
            verb = "recover"
            take(command.session)
            domains = command.domains
            values["keep"] = "\(command.keep)"
            values["discard"] = "\(command.discard)"
        case is VersionCommand: verb = "version"
        default: return nil
        }
    }

    private mutating func take(_ common: CommonOptions) {
        take(common.session)
        domains = common.selection.domains
        values["all"] = "\(common.selection.all)"
        values["include"] = "\(common.selection.include)"
        values["exclude"] = "\(common.selection.exclude)"
        values["jobs"] = "\(String(describing: common.selection.jobs))"
        values["engine"] = "\(common.engine)"
        values["dryRun"] = "\(common.dryRun)"
        values["scratchDir"] = "\(String(describing: common.scratchDir))"
        values["allow"] = "\(common.allow)"
    }

    private mutating func take(_ session: Session) {
        connect = session.connect
        values["json"] = "\(session.json)"
        values["quiet"] = "\(session.quiet)"
        values["verbose"] = "\(session.verbose)"
    }
}

/// What would run; nil for a usage error.
private func meaning(_ line: [String]) -> Meaning? { try? Meaning(line) }

/// What a user reads who made a mistake; nil where there is none, or it is not a usage error.
private func usageError(_ line: [String]) -> String? {
    do {
        _ = try Meaning(line)
        return nil
    } catch {
        return VirtFsck.exitCode(for: error) == .success ? nil : VirtFsck.fullMessage(for: error)
    }
}

/// The help that some arguments ask for.
private func help(_ line: [String]) throws -> String {
    do {
        var command = try VirtFsck.parseAsRoot(arguments(line).ordered)
        try command.run()
        return ""
    } catch  where VirtFsck.exitCode(for: error) == .success {
        return VirtFsck.fullMessage(for: error)
    }
}
