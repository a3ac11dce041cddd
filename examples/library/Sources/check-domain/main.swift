import HostTools
import Libvirt
import Repair

// Every volume of a domain with its verdict; the disks stay bit for bit what they were.
var options = Options()
options.mode = .check
let pipeline = Pipeline(
    connection: try await Connection.open(nil), runner: HostCommandRunner(), options: options,
    progress: { print("…", $0.text) })
let outcome = await pipeline.outcome(ofRepairing: CommandLine.arguments.dropFirst().first ?? "")
print(outcome.name, outcome.outcome, outcome.message)
for result in outcome.volumes {
    print(" ", result.volume.name.escapedForTerminal, result.outcome, result.message)
}
