import ArgumentParser
import HostTools
import Repair

/// The program: its verbs, and the exit statuses of fsck(8).
@main
struct VirtFsck: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "virt-fsck",
        abstract: "Check and repair the filesystems of libvirt domains that no longer boot.",
        discussion: """
            Finds the domain through libvirt, makes sure that it is shut off, puts an overlay over its disks, checks and \
            repairs every filesystem on the overlay, proves the result by a second run, merges it, and starts the domain. \
            The disks are not written before the repair is proven.

            Exit status, as in fsck(8): 0 nothing wrong, 1 errors repaired, 2 repaired but the domain did not come up, \
            4 errors left or a volume that could not be checked, 8 operational error or refused, 16 usage, 32 cancelled.
            """,
        version: version,
        subcommands: [
            RepairCommand.self, CheckCommand.self, ListCommand.self, RecoverCommand.self, MeasureLossCommand.self,
        ],
        defaultSubcommand: RepairCommand.self)

    static func main() async {
        Files.raiseOpenFileLimit()
        do {
            var command = try parseAsRoot(OwnProgram.confinedArguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let status as ExitCode {
            exit(withError: status)
        } catch {
            // ArgumentParser's own idea of a usage error is EX_USAGE (64); fsck(8) says 16.
            let code = exitCode(for: error)
            let text = fullMessage(for: error)
            guard code != .success else {
                Terminal.output(text + "\n")
                exit(withError: ExitCode.success)
            }
            Terminal.error(text + "\n")
            exit(withError: ExitCode(ExitStatus.usage.rawValue))
        }
    }
}
