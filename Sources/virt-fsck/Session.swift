import ArgumentParser
import HostTools
import Libvirt
import Repair

/// What every verb needs: a connection, and where the words go. What a verb does with them is in an extension of its own.
struct Session: ParsableArguments {
    @Option(
        name: [.short, .long], help: "libvirt connection URI (default: $LIBVIRT_DEFAULT_URI, else qemu:///system).")
    var connect: String?

    @Flag(help: "Print one JSON document instead of text.")
    var json = false

    @Flag(name: [.short, .long], help: "No progress on standard error.")
    var quiet = false

    @Flag(name: [.short, .long], help: "Say more: stages with their times, images, logs.")
    var verbose = false

    func connection(_ access: Connection.Access = .readWrite) async throws -> Connection {
        try await Connection.open(connect, access: access, timeout: .seconds(15))
    }

    /// What works for this session.
    struct Workers {
        let pipeline: Pipeline
        let progress: ProgressLine
        /// Ends what is asked politely at the first signal.
        let hurry: @Sendable () -> Void
    }

    /// - Parameter jobs: how many checkers run at once; nil for as many as the host has cores.
    func workers(_ connection: Connection, _ options: Options, jobs: Int? = nil) -> Workers {
        let progress = ProgressLine(isShown: !quiet)
        let runner = HostCommandRunner()
        return Workers(
            pipeline: Pipeline(
                connection: connection, runner: runner, options: options, checkers: CheckerBudget(places: jobs),
                progress: { progress.show($0) }),
            progress: progress,
            hurry: runner.hurry)
    }

    func words(for error: LibvirtError) -> String {
        let shown = connect ?? "the default connection (qemu:///system)"
        return "libvirt: \(shown): \(error.message); is libvirtd running? (systemctl status libvirtd)"
    }
}
