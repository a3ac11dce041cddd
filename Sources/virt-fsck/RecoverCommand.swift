import ArgumentParser
import Repair

/// `virt-fsck recover [DOMAIN…]`
struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Finish or undo what interrupted runs left (kill -9, power cut).",
        discussion: """
            Each interrupted run comes to one of two ends: the disks as they were before it, or the proven repair merged. \
            What it left on the host is taken down: processes, devices, mappings, mounts, overlays. A repair of the same \
            domain does this by itself first.

            Exit status: 0 when every interrupted run came to its end, or none was interrupted; 8 when one is left.
            """)

    @Argument(help: "Name, UUID or id of a domain; none for every interrupted run.")
    var domains: [String] = []

    @Flag(help: "Merge a repair that --commit after-boot has on trial, with what its guest wrote.")
    var keep = false

    @Flag(help: "Throw a repair on trial away, with what its guest wrote; the domain must be off.")
    var discard = false

    @OptionGroup var session: Session

    func validate() throws {
        guard !(keep && discard) else { throw ValidationError("--keep and --discard contradict each other") }
        guard !(keep || discard) || !domains.isEmpty else {
            throw ValidationError("--keep and --discard want a domain: a decision is made for one at a time")
        }
    }

    func run() async throws {
        try await session.run(recovering: domains, keep ? .keep : discard ? .discard : .none)
    }
}
