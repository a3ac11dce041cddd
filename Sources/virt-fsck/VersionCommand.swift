import ArgumentParser

/// `virt-fsck version`, which is asked for as often as `--version`.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Show the version.", shouldDisplay: false)

    func run() {
        Terminal.output(VirtFsck.version + "\n")
    }
}
