import ArgumentParser
import Repair

/// `virt-fsck check DOMAIN…`
struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "The whole repair on throw-away overlays: the disks stay bit for bit what they were.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await common.session.run(common, common.options(.check), .no)
    }
}
