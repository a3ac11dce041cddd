/// A phrase on a console, and what it proves.
struct BootPattern: Hashable, Sendable {
    /// What it proves.
    enum Meaning: Hashable, Sendable {
        /// A boot begins: what was before it counts no more.
        case start
        /// Nothing comes after it but another boot.
        case fatal
        /// Somebody is waited for. A later proof of the same boot overrules it: that somebody came.
        case failed
        /// A filesystem is damaged: a guest that comes up all the same isn't well, and nothing overrules it but another boot.
        case damaged
        /// Long work that ends in a restart is under way.
        case work
        /// The system is up.
        case booted
        /// The system is up, unless this boot failed: programs say it at the end of a failed boot, too.
        case finished
        /// The guest ends its work in order.
        case shutdown
        /// Alone it proves nothing; it tells why the boot fails, if it does.
        case hint
    }

    /// Where in a line the phrase counts.
    enum Place: Hashable, Sendable {
        case anywhere
        /// At the beginning of a line, but for blanks.
        case beginning
        /// At the beginning, or behind the kernel's time stamp, wherever that is: consoles mix lines.
        case kernel
        /// At the beginning, or behind what a log puts there: a time stamp, `systemd[1]:`, `[  OK  ]`, a device and a colon.
        case message
        /// A login prompt: a host name before it, nothing but what was typed, or a message of the kernel, behind it.
        case login
    }

    /// What it proves, in words for the report; several phrases may prove the same.
    let name: String
    let meaning: Meaning
    let place: Place
    /// The phrase.
    let phrase: String
    /// What must be in the line, too.
    let also: String?
    /// Where it is seen.
    let systems: String
    /// The program that prints it, and where the phrase was found.
    let source: String

    init(
        _ name: String, _ meaning: Meaning, _ place: Place, _ phrase: String, also: String? = nil, systems: String,
        source: String
    ) {
        (self.name, self.meaning, self.place, self.phrase) = (name, meaning, place, phrase)
        (self.also, self.systems, self.source) = (also, systems, source)
    }
}
