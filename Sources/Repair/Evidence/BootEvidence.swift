/// Judges the lines of a console: does the guest boot, has it failed, or is nothing known?
///
/// The later line decides. A guest that was in emergency mode and then shows a login prompt is up, and one that was up and
/// then panics is dead. Three things are stronger than the order: nothing comes after a kernel's panic but another boot; what
/// programs say at the end of a failed boot as well as of a good one doesn't undo the failure; and a boot that begins
/// undoes what the one before it proved.
struct BootEvidence: Sendable {
    /// What is known.
    enum Verdict: Hashable, Sendable {
        /// No line proved anything.
        case nothing
        /// The system is up.
        case booted(Proof)
        /// Somebody is waited for, or the guest starts again and again. It may still come up.
        case failed(Proof)
        /// The guest is dead: only a reset helps.
        case dead(Proof)

        /// The line that proves it.
        var proof: Proof? {
            switch self {
            case .nothing: nil
            case .booted(let proof), .failed(let proof), .dead(let proof): proof
            }
        }
    }

    /// Why it is known.
    struct Proof: Hashable, Sendable {
        /// What it is, in the words of ``BootPattern/name``, or ``BootEvidence/bootLoop``.
        let name: String
        /// The line, as the guest wrote it: ``Swift/String/escapedForTerminal`` before a person sees it. Where libvirt saw a boot
        /// loop on a silent console, that in words.
        let line: String
        /// A line before it that tells why, when there is one.
        let hint: String?
    }

    /// The name of the proof that a filesystem of a guest that runs is damaged.
    static let damage = "filesystem error"
    /// The name of the proof that one boot follows the other.
    static let bootLoop = "boot loop"
    /// How often a boot must begin, with nothing to show for it between, to be a loop. An installer, a relabelling or an
    /// update restarts once or twice.
    static let loopLimit = 4
    /// A guest that ran as long as this, in seconds by its own clock, didn't fail to boot.
    static let lifeTime = 600

    private static let patterns = BootPatterns.all
    private static let finder = PhraseFinder(patterns.map(\.phrase))
    /// What a line has that repeats the kernel's command line: whatever is in it is an order, not an event.
    private static let commandLine = PhraseFinder(["ommand line: ", "BOOT_IMAGE=", "kernel command line parameters"])

    /// Of this boot.
    private(set) var verdict = Verdict.nothing
    private var hint: String?
    private var hasFailed = false
    private var isDamaged = false
    /// Long work that this boot does, in the words of ``BootPattern/name``.
    private(set) var work: String?
    /// The kernel's clock, in seconds.
    private var clock = 0
    /// By pattern, how often it began a boot that came to nothing; by ``restarts`` the same in libvirt's words, whose first was
    /// the domain's start.
    private var starts = [restarts: 1]
    private static let restarts = -1

    /// Reads the next line.
    mutating func read(_ line: ConsoleLine) {
        guard !line.bytes.isEmpty else { return }
        var matches: [Int] = []
        Self.finder.find(in: line.bytes) { number, end in
            let pattern = Self.patterns[number]
            if line.has(pattern, endingAt: end) && !matches.contains(number) { matches.append(number) }
        }
        if let seconds = line.kernelTime { clock = max(clock, seconds) }
        guard !matches.isEmpty, !line.mentions(Self.commandLine) else { return }
        for number in matches { count(number, in: line) }
    }

    /// Counts a boot that libvirt has seen to begin: a guest that restarts again and again need not say anything.
    ///
    /// Unlike a banner it undoes no failure: what the guest said before may be read only after it.
    mutating func restart() {
        if clock >= Self.lifeTime { (starts, clock) = ([:], 0) }
        let count = starts[Self.restarts, default: 0] + 1
        starts[Self.restarts] = count
        if case .booted = verdict { verdict = .nothing }
        guard count >= Self.loopLimit else { return }
        if case .nothing = verdict {
            verdict = .failed(Proof(name: Self.bootLoop, line: "the guest restarts again and again", hint: hint))
        }
    }

    private mutating func count(_ number: Int, in line: ConsoleLine) {
        let pattern = Self.patterns[number]
        switch pattern.meaning {
        case .start: begin(number, with: line)
        case .hint: hint = line.text
        case .work: work = pattern.name
        case .shutdown: starts = [:]
        case .fatal:
            if case .dead = verdict { return }
            verdict = .dead(proof(pattern, line))
        case .failed:
            if case .dead = verdict { return }
            // The first line says most: a question follows, and a prompt.
            if case .failed(let known) = verdict, ![Self.bootLoop, Self.damage].contains(known.name) { return }
            hasFailed = true
            verdict = .failed(proof(pattern, line))
        case .damaged:
            if case .dead = verdict { return }
            if isDamaged {
                // What came of it says more than one more error.
                if case .failed(let known) = verdict, known.name == Self.damage, line.text.contains("read-only"),
                    known.hint?.contains("read-only") != true
                {
                    verdict = .failed(Proof(name: known.name, line: known.line, hint: line.text))
                }
                return
            }
            isDamaged = true
            defer { hint = line.text }
            if case .failed(let known) = verdict, known.name != Self.bootLoop { return }
            verdict = .failed(proof(pattern, line))
        case .finished:
            if hasFailed { return }
            succeed(pattern, line)
        case .booted: succeed(pattern, line)
        }
    }

    private mutating func succeed(_ pattern: BootPattern, _ line: ConsoleLine) {
        switch verdict {
        case .dead, .booted: return
        case .nothing, .failed: break
        }
        starts = [:]
        guard !isDamaged else { return }
        hasFailed = false
        verdict = .booted(Proof(name: pattern.name, line: line.text, hint: nil))
    }

    private func proof(_ pattern: BootPattern, _ line: ConsoleLine) -> Proof {
        Proof(name: pattern.name, line: line.text, hint: hint)
    }

    private mutating func begin(_ number: Int, with line: ConsoleLine) {
        if clock >= Self.lifeTime { starts = [:] }
        let last = verdict
        (verdict, hint, hasFailed, clock) = (.nothing, nil, false, 0)
        (isDamaged, work) = (false, nil)
        let count = starts[number, default: 0] + 1
        starts[number] = count
        guard starts.values.contains(where: { $0 >= Self.loopLimit }) else { return }
        // Why the last one failed says more than one more banner.
        verdict = .failed(
            Proof(name: Self.bootLoop, line: last.proof?.line ?? line.text, hint: last.proof?.hint))
    }
}

extension ConsoleLine {
    private static let blank = UInt8(ascii: " ")

    /// Whether a pattern's phrase, found with its end at `end`, is where it counts.
    fileprivate func has(_ pattern: BootPattern, endingAt end: Int) -> Bool {
        let start = end - pattern.phrase.utf8.count
        guard isAt(pattern.place, start: start, end: end) else { return false }
        guard let also = pattern.also else { return true }
        return contains(also)
    }

    private func isAt(_ place: BootPattern.Place, start: Int, end: Int) -> Bool {
        switch place {
        case .anywhere: return true
        case .beginning: return isBeginning && bytes[..<start].allSatisfy { $0 == Self.blank }
        case .kernel: return isAt(.beginning, start: start, end: end) || hasTimeStamp(before: start)
        case .message:
            if isAt(.beginning, start: start, end: end) { return true }
            let before = bytes[..<start].last { $0 != Self.blank }
            return before == UInt8(ascii: "]") || before == UInt8(ascii: ":")
        case .login: return isLoginPrompt(start: start, end: end)
        }
    }

    /// Whether `[   12.345678] ` is right before a place; a second group, the task's, may be between.
    private func hasTimeStamp(before start: Int) -> Bool {
        var rest = bytes[..<start]
        for _ in 0..<2 {
            while rest.last == Self.blank { rest.removeLast() }
            guard rest.last == UInt8(ascii: "]"), let open = rest.lastIndex(of: UInt8(ascii: "[")) else { return false }
            if Self.seconds(in: rest[(open + 1)..<(rest.endIndex - 1)]) != nil { return true }
            rest = rest[..<open]
        }
        return false
    }

    /// The kernel's clock at the line's beginning, in whole seconds.
    fileprivate var kernelTime: Int? {
        guard bytes.first == UInt8(ascii: "["), let close = bytes.prefix(24).firstIndex(of: UInt8(ascii: "]")) else {
            return nil
        }
        return Self.seconds(in: bytes[1..<close])
    }

    /// The seconds of a time such as `   12.345678`; who keeps logs may cut it.
    private static func seconds(in time: ArraySlice<UInt8>) -> Int? {
        let digits = time.drop { $0 == blank }
        guard let point = digits.firstIndex(of: UInt8(ascii: ".")), (2...7).contains(digits.endIndex - point),
            digits[(point + 1)...].allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
        else { return nil }
        return Int(String(decoding: digits[..<point], as: UTF8.self))
    }

    /// Words before "login:" that no host has for a name, but a message of the day or an error has.
    private static let noHosts: Set = [
        "last", "please", "your", "the", "to", "for", "failed", "invalid", "no", "successful",
    ]

    /// `host login: `, or `login: ` alone, with what somebody typed, or what the kernel said, behind it.
    private func isLoginPrompt(start: Int, end: Int) -> Bool {
        guard isBeginning else { return false }
        let before = bytes[..<start].split(separator: Self.blank)
        guard before.count <= 1 else { return false }
        if let host = before.first {
            // The blank between them is agetty's; "xlogin:" is another word.
            guard bytes[start - 1] == Self.blank, host.count <= 255, host.allSatisfy(Self.isHostByte),
                !Self.noHosts.contains(String(decoding: host, as: UTF8.self).lowercased())
            else { return false }
        } else if bytes[..<start].count > 1 {
            // Indented: a field of some output.
            return false
        }
        let after = bytes[end...].split(separator: Self.blank)
        guard let first = after.first else { return true }
        // A blank is behind the prompt; "login:x" is a line of some file.
        guard bytes[end] == Self.blank else { return false }
        return after.count == 1 || first.first == UInt8(ascii: "[") || contains("(automatic login)")
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: byte >= 0x80
        }
    }

    private func contains(_ phrase: String) -> Bool {
        let phrase = Array(phrase.utf8)
        return bytes.indices.contains { bytes[$0...].starts(with: phrase) }
    }

    fileprivate func mentions(_ finder: PhraseFinder) -> Bool {
        var isFound = false
        finder.find(in: bytes) { _, _ in isFound = true }
        return isFound
    }
}
