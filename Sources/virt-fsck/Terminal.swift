import Glibc
import SystemPackage

/// Standard output for results, standard error for progress and problems. A reader that went away is no reason to die.
enum Terminal {
    /// Whether somebody can be asked.
    static var isInteractive: Bool { isatty(0) == 1 && isatty(2) == 1 }

    static func output(_ text: String) {
        _ = try? FileDescriptor.standardOutput.writeAll(text.utf8)
    }

    static func error(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }
}
