import ArgumentParser
import Repair

/// `virt-fsck check DOMAIN…`
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "The whole repair on throw-away overlays: the disks stay bit for bit what they were.")

    @OptionGroup var common: CommonOptions

    @OptionGroup var already: Already

    /// Options of `repair` that say what `check` does in any case: a line that repairs can be tried as a check first.
    struct Already: ParsableArguments {
        @Flag(help: "Accepted: a check starts no domain.")
        var noStart = false

        @Flag(help: "Accepted: a check waits for no guest.")
        var noWait = false

        @Flag(help: "Accepted: a check asks nothing.")
        var yes = false
    }

    func run() async throws {
        try await common.session.run(common, common.options(.check), .no)
    }
}
