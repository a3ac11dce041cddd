import ArgumentParser
import HostTools

/// Which domains: named one by one, or every failed one of the host.
struct Selection: ParsableArguments {
    @Argument(help: "Name, UUID or id of a domain.")
    var domains: [String] = []

    @Flag(help: "Every failed domain of the host: those that virt-fsck list shows.")
    var all = false

    @Option(
        help: ArgumentHelp("With --all: only domains whose name matches; * and ? as in a shell.", valueName: "glob"))
    var include: [String] = []

    @Option(help: ArgumentHelp("With --all: no domain whose name matches.", valueName: "glob"))
    var exclude: [String] = []

    @Option(
        help: ArgumentHelp(
            "How many domains are worked on at once, and how many checkers (default: as many as the host has cores).",
            valueName: "n"))
    var jobs: Int?

    /// The domains that were named, each once.
    var named: [String] {
        var seen: Set<String> = []
        return domains.filter { seen.insert($0).inserted }
    }

    func validate() throws {
        guard all != !domains.isEmpty else {
            throw ValidationError(
                all ? "--all and names of domains contradict each other" : "name a domain, or say --all")
        }
        guard all || include.isEmpty && exclude.isEmpty else {
            throw ValidationError("--include and --exclude choose among the domains of --all")
        }
        if let jobs, jobs < 1 { throw ValidationError("--jobs: '\(jobs)' is not at least 1") }
    }

    /// Whether `--include` and `--exclude` let a domain through.
    func admits(_ name: String) -> Bool {
        func matches(_ glob: String) -> Bool { Glob.matches(name, glob) }
        return (include.isEmpty || include.contains(where: matches)) && !exclude.contains(where: matches)
    }
}
