import ArgumentParser
import Libvirt
import Repair

/// `virt-fsck [repair] DOMAIN…`
struct RepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Check, repair, prove, and start the domain again (the default).")

    @OptionGroup var common: CommonOptions

    @Option(help: "When a proven repair is merged into the disk: verified, after-boot or never.")
    var commit = Options.CommitPolicy.verified

    @Option(help: "Start the domain afterwards: repaired (when nothing is left damaged), always or never.")
    var start: Options.StartPolicy?

    @Option(
        help: ArgumentHelp("For how long to wait for proof that the guest boots (default: 120).", valueName: "seconds"))
    var bootTimeout = 120

    @Flag(help: "Don't wait for that proof.")
    var noWait = false

    @Flag(help: "The same as --start never.")
    var noStart = false

    @Flag(
        help: "Repair a domain that has a managed save; when a repair is merged, the saved state is given up.")
    var discardSavedState = false

    @Flag(name: .customLong("shutdown"), help: "Ask a domain that runs to shut down first (guest agent or ACPI).")
    var shutDown = false

    @Flag(help: "Pull the plug of a domain that runs; with --shutdown, of one that does not react.")
    var forceOff = false

    @Flag(help: "With --all: don't ask.")
    var yes = false

    func validate() throws {
        if noStart, let start, start != .never {
            throw ValidationError("--no-start and --start \(start.rawValue) contradict each other")
        }
        guard (1...86_400).contains(bootTimeout) else {
            throw ValidationError("--boot-timeout: '\(bootTimeout)' is not from 1 to 86400, a day")
        }
        if commit == .afterBoot, noStart || start == .never || noWait {
            throw ValidationError("--commit after-boot starts the domain and waits for it to boot")
        }
    }

    /// Refuses everything where the first of several words is no domain: it was a verb, perhaps, with a slip of the pen, and
    /// `virt-fsck chekc web1` must not repair web1.
    func refuseUnlessDomain(_ word: String) async throws {
        do {
            _ = try await common.session.connection(.readOnly).lookUp(word)
        } catch let error as LibvirtError where error.code == .noDomain {
            throw ValidationError(
                "'\(word)' is neither a verb nor a domain, so nothing was done; to repair the others all the same: "
                    + "virt-fsck repair …")
        } catch {
            // The run itself says what is wrong with libvirt.
        }
    }

    func run() async throws {
        var options = common.options(.repair)
        options.commit = commit
        options.start = noStart ? .never : start ?? .repaired
        options.bootTimeout = noWait ? .zero : .seconds(bootTimeout)
        options.savedState = discardSavedState ? .discard : .keep
        options.powerOff.asks = shutDown
        options.powerOff.forces = forceOff
        // Who names a domain knows why; of one that was chosen by its evidence, that must still be there.
        options.powerOff.evidence = common.selection.all ? .required : .notNeeded
        try await common.session.run(common, options, yes ? .no : .onTerminal)
    }
}
