import Foundation
import TestSupport

/// The library that kills virt-fsck before a call of its choice; `Tests/KillSwitch/KillSwitch.c` has the details.
enum KillSwitch {
    /// When the program is killed.
    struct Moment: Hashable, CustomStringConvertible, Sendable {
        /// The number of the call, from 1 on.
        var call: Int
        /// What the calls that count have in their lines; "" for all.
        var matching = ""
        /// Microseconds: the call is done, and the program killed so long after its begin; nil: before it.
        var delay: Int?

        var description: String {
            let calls = matching.isEmpty ? "call" : "call with \(matching)"
            return "killed \(delay.map { "\($0) µs after" } ?? "before") \(calls) number \(call)"
        }
    }

    /// The library; built beside the program.
    static let library: String? = VirtFsck.program.flatMap { program in
        let path = URL(filePath: program).deletingLastPathComponent().appending(path: "libKillSwitch.so").path
        return FileManager.default.isReadableFile(atPath: path) ? path : nil
    }

    /// What the environment of virt-fsck needs.
    ///
    /// - Parameters:
    ///   - moment: when it is killed; nil for never.
    ///   - log: a file for the calls.
    static func environment(_ moment: Moment?, log: String? = nil) throws -> [String: String] {
        guard let library else { throw ToolError(description: "libKillSwitch.so is not beside virt-fsck") }
        var variables = ["LD_PRELOAD": library]
        if let moment {
            variables["KILL_SWITCH_AT"] = "\(moment.call)"
            variables["KILL_SWITCH_MATCH"] = moment.matching
            variables["KILL_SWITCH_DELAY"] = moment.delay.map { "\($0)" }
        }
        variables["KILL_SWITCH_LOG"] = log
        return variables
    }
}
