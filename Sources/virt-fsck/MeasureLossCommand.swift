import ArgumentParser
import FoundationEssentials
import HostTools
import Repair

/// `virt-fsck measure-loss TYPE ORIGINAL REPAIRED`: counts what a repair cost. A run calls it, as a process of its own behind the
/// walls of a checker; it has no connection and no privileges.
struct MeasureLossCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: LossMeasurement.verb, abstract: "Count the files that a repair lost (used by the other verbs).",
        shouldDisplay: false)

    @Argument(help: "libblkid's name of the filesystem.")
    var type: String

    @Argument(help: "The device with the filesystem as it was.")
    var original: String

    @Argument(help: "The device with the repaired filesystem.")
    var repaired: String

    func run() throws {
        do {
            let count = try LossMeasurement.count(of: type, original: original, repaired: repaired)
            Terminal.output(String(decoding: try JSONEncoder().encode(count), as: UTF8.self) + "\n")
        } catch {
            Terminal.error("\(error)\n")
            throw ExitCode(ExitStatus.operational.rawValue)
        }
    }
}
