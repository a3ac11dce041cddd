/// What debugfs(8) says of an ext filesystem: enough to see why its guest doesn't boot. All of it is the guest's.
struct VolumeFacts: Hashable, Sendable {
    /// An entry of a folder.
    struct Entry: Hashable, Sendable {
        /// Its name.
        var name: String
        /// Whether it is a file of 0 bytes.
        var isEmptyFile: Bool
    }

    /// Something that is at its place, or is proven not to be; nil where neither could be found out.
    enum Presence<Value: Hashable & Sendable>: Hashable, Sendable {
        case missing
        case present(Value)
    }

    /// Bytes that are free; root's reserve counts as free.
    var freeBytes: UInt64?
    /// Inodes that are free.
    var freeInodes: UInt64?
    /// The entries of /.
    var root: [Entry] = []
    /// The entries of /boot.
    var boot: Presence<[Entry]>?
    /// How many entries lost+found has.
    var lost = 0
    /// Whether there is /sbin/init, or a link of that name.
    var initialProcess: Presence<Bool>?
    /// The text of /etc/fstab.
    var fstab: Presence<String>?

    /// Whether it looks like a system's root.
    var isRoot: Bool { has("etc") }

    /// Whether / has an entry of this name.
    func has(_ name: String) -> Bool { root.contains { $0.name == name } }
}

extension VolumeFacts {
    /// What debugfs is asked. It repeats each line before its answer; the file comes last, so that nothing that stands in it is
    /// taken for an answer.
    static let questions = [
        "show_super_stats -h", "ls -p /", "ls -p /boot", "ls -p /lost+found", "stat /sbin/init", "cat /etc/fstab",
    ]

    /// Reads debugfs's answers.
    ///
    /// - Returns: nil where it could not even open the filesystem.
    init?(answers output: String, complaints: String) {
        var answers: [Substring] = []
        var rest = output[...]
        for question in Self.questions {
            guard let echo = rest.firstRange(of: "debugfs: \(question)\n") else { return nil }
            answers.append(rest[..<echo.lowerBound])
            rest = rest[echo.upperBound...]
        }
        answers.append(rest)
        let problems = complaints.split(whereSeparator: \.isNewline)
        func isMissing(_ path: String) -> Bool {
            problems.contains { $0.hasPrefix("\(path): File not found") }
        }
        let numbers = Self.numbers(of: answers[1])
        if let blocks = numbers["Free blocks"], let size = numbers["Block size"] {
            freeBytes = blocks.multipliedReportingOverflow(by: size).partialValue
        }
        freeInodes = numbers["Free inodes"]
        root = Self.entries(of: answers[2])
        // A folder that is there has at least itself in it.
        guard !root.isEmpty else { return nil }
        let boot = Self.entries(of: answers[3])
        if isMissing("/boot") {
            self.boot = .missing
        } else if !boot.isEmpty {
            self.boot = .present(boot)
        }
        lost = Self.entries(of: answers[4]).count { $0.name != "." && $0.name != ".." }
        if isMissing("/sbin/init") {
            initialProcess = .missing
        } else if answers[5].hasPrefix("Inode:") {
            initialProcess = .present(true)
        }
        if isMissing("/etc/fstab") {
            fstab = .missing
        } else if !problems.contains(where: { $0.hasPrefix("/etc/fstab:") }) {
            fstab = .present(String(answers[6]))
        }
    }

    /// `Free blocks:              14053`
    private static func numbers(of text: Substring) -> [String: UInt64] {
        var numbers: [String: UInt64] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let number = UInt64(parts[1].drop(while: \.isWhitespace)) else { continue }
            numbers[String(parts[0])] = number
        }
        return numbers
    }

    /// `/14/100644/0/0/vmlinuz-6.1/0/`: inode, mode, owner, group, name, size; a folder has no size, a free place no inode.
    private static func entries(of text: Substring) -> [Entry] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let fields = line.split(separator: "/", omittingEmptySubsequences: false)
            guard fields.count == 8, let inode = UInt64(fields[1]), inode > 0, !fields[5].isEmpty else { return nil }
            return Entry(name: String(fields[5]), isEmptyFile: fields[2].hasPrefix("10") && fields[6] == "0")
        }
    }
}
