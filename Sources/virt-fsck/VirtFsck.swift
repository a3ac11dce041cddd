import ArgumentParser
import HostTools
import Libvirt
import Repair

/// The program: its verbs, and the exit statuses of fsck(8).
@main
struct VirtFsck: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "virt-fsck",
        abstract: "Check and repair the filesystems of libvirt domains that no longer boot.",
        usage: """
            virt-fsck [repair] [<options>] <domain> ... | --all
            virt-fsck <verb> [<options>] [<domain> ...]
            """,
        discussion: """
            Finds the domain through libvirt, makes sure that it is shut off, puts an overlay over its disks, checks and \
            repairs every filesystem on the overlay, proves the result by a second run, merges it, and starts the domain. \
            The disks are not written before the repair is proven.

            Options stand before or after the verb. The verb stands before the domains; a domain that is called like a verb \
            wants one: virt-fsck repair check.

            Exit status, as in fsck(8): 0 nothing wrong, 1 errors repaired, 2 repaired but the domain did not come up, \
            4 errors left or a volume that could not be checked, 8 operational error or refused, 16 usage, 32 cancelled.
            """,
        version: version,
        subcommands: [
            RepairCommand.self, CheckCommand.self, ListCommand.self, RecoverCommand.self, VersionCommand.self,
        ],
        defaultSubcommand: RepairCommand.self)

    static func main() async {
        Files.raiseOpenFileLimit()
        let status = await status()
        // A libvirtd that is just doing something for us may crash when we are gone.
        await Connection.leave()
        exit(withError: status)
    }

    private static func parsed() async throws -> any ParsableCommand {
        let words = OwnProgram.confinedArguments ?? Array(CommandLine.arguments.dropFirst())
        // No verb for people: the program calls itself.
        if words.first == LossMeasurement.verb { return try MeasureLossCommand.parse(Array(words.dropFirst())) }
        let arguments = try Arguments(words, Vocabulary(of: Self.self))
        let command = try parseAsRoot(arguments.ordered)
        if let word = arguments.wordInPlaceOfVerb, arguments.words.count > 1 {
            try await (command as? RepairCommand)?.refuseUnlessDomain(word)
        }
        return command
    }

    private static func status() async -> ExitCode {
        do {
            var command = try await parsed()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return .success
        } catch let status as ExitCode {
            return status
        } catch {
            let text = fullMessage(for: error)
            guard exitCode(for: error) != .success else {
                Terminal.output(text + "\n")
                return .success
            }
            Terminal.error(text + "\n")
            // ArgumentParser's own idea of a usage error is EX_USAGE (64); fsck(8) says 16.
            return ExitCode(ExitStatus.usage.rawValue)
        }
    }
}
