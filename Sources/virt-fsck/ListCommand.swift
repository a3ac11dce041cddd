import ArgumentParser

/// `virt-fsck list`
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show the domains that have failed, and by what evidence.",
        discussion: """
            Failed is: crashed; shut off as crashed or failed; paused by an I/O error; to start with the host \
            (autostart), yet not running; running, yet dead by what its console's log shows. Changes nothing.
            """)

    @Flag(help: "Show every domain.")
    var all = false

    @OptionGroup var session: Session

    func run() async throws {
        try await session.list(all ? .all : .failed)
    }
}
