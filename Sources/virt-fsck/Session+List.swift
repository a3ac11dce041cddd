import ArgumentParser
import Libvirt
import Repair

extension Session {
    /// Which domains are shown.
    enum Choice {
        case failed
        case all
    }

    /// Shows the host's domains.
    func list(_ choice: Choice) async throws {
        do {
            let domains = try await Survey(connection: try await connection(.readOnly)).domains()
            let report = ListReport(domains: domains.filter { choice == .all || $0.isFailed })
            Terminal.output(json ? try report.json() : report.text)
            let doubtful = domains.filter { !$0.isFailed && $0.hint != nil }.count
            if choice == .failed, doubtful > 0, !json {
                let guests = doubtful == 1 ? "a guest agent is" : "\(doubtful) guest agents are"
                Terminal.error("\(guests) silent, which proves nothing: virt-fsck list --all\n")
            }
        } catch let error as LibvirtError {
            Terminal.error(words(for: error) + "\n")
            throw ExitCode(ExitStatus.operational.rawValue)
        }
    }
}
