import SystemPackage

/// Standard output for results, standard error for progress and problems. A reader that went away is no reason to die.
enum Terminal {
    static func output(_ text: String) {
        _ = try? FileDescriptor.standardOutput.writeAll(text.utf8)
    }

    static func error(_ text: String) {
        _ = try? FileDescriptor.standardError.writeAll(text.utf8)
    }
}
