public import HostTools

/// What the repair of a volume cost. A filesystem can be consistent and empty: an exit status doesn't say so, a count does.
public struct Loss: Hashable, Sendable {
    /// How much it was.
    public enum Level: String, Hashable, Sendable, Codable, Comparable {
        /// Everything is at its place, with the content that it had.
        case none
        /// A tenth at most lost its place or content; or it can't be told whether it has the content that it had.
        case minor
        /// The root folder was lost, or more than a tenth of the files and folders lost their place or content: what is left may be
        /// no system. It is merged only when the user allows it.
        case heavy

        /// From nothing to heavy.
        public static func < (one: Level, other: Level) -> Bool { one.rank < other.rank }

        private var rank: Int {
            switch self {
            case .none: 0
            case .minor: 1
            case .heavy: 2
            }
        }
    }

    /// How the level was found out.
    public enum Evidence: Hashable, Sendable {
        /// The files of the original and of the repaired filesystem were counted.
        case counted(LossCount)
        /// They could not be counted, and the text says why; the checker's words were read instead.
        case checkersWords(String)
    }

    /// How much it was.
    public var level: Level
    /// How that was found out.
    public var evidence: Evidence

    /// By a count.
    ///
    /// - Parameter atLeast: what the repair cost in any case.
    init(_ count: LossCount, atLeast: Level = .none) {
        evidence = .counted(count)
        level = max(atLeast, Self.level(of: count))
    }

    /// By the checker's words, where no count could be had: what it does to files is the worst then.
    ///
    /// - Parameters:
    ///   - problem: why nothing was counted.
    ///   - touchesFiles: whether the checker says that it removed, cut or moved a file.
    init(uncounted problem: String, touchesFiles: Bool) {
        evidence = .checkersWords(problem)
        level = touchesFiles ? .heavy : .minor
    }

    /// So few that were put into lost+found, or had no name before, are no heavy loss where most files stayed at their place, or only
    /// one of two tables knew them.
    private static var mostNameless: Int { 3 }

    private static func level(of count: LossCount) -> Level {
        // What every unclean end leaves on a small FAT: a few chains that have no name, and never had one; or that only one of its two
        // tables knows.
        let isHandful =
            !count.lacksNames && count.lost <= mostNameless && count.lost == count.reconnected + count.unnamed
            && (count.reconnected == count.disputed || count.after * 2 > count.before)
        // Where most files kept their names, chains that only one table knew were none: a bad sector of a table makes hundreds.
        let noise = count.unnamed + count.disputed
        let isNoisy = count.after > 0 && count.after * 2 >= count.before - noise
        let (lost, before) = isNoisy ? (count.lost - noise, count.before - noise) : (count.lost, count.before)
        // Close to a tenth, those count that may not hold what they held.
        let isMuch = lost * 10 > before || lost * 12 > before && (lost + count.doubtful) * 10 > before
        // What could not be read may have been anything.
        if count.hasNewRoot || count.isIncomplete || isMuch && !isHandful { return .heavy }
        return count.lost == 0 && count.doubtful == 0 && !count.hasLostJournal ? .none : .minor
    }
}

extension LossCount {
    /// Files and folders that are not at their place any more, or have not all of the content that they had.
    var lost: Int { before - after + altered }
    /// Those that are nowhere any more.
    var gone: Int { before - after - reconnected - moved }
}
