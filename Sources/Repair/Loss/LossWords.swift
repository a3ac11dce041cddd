import HostTools

extension Loss {
    /// The sentence for the report; "" where nothing was lost.
    var words: String {
        switch (level, evidence) {
        case (.none, _): return ""
        case (.heavy, .counted(let count)) where count.lost == 0 && count.hasNewRoot:
            return "the root folder was lost and made anew"
        case (_, .counted(let count)) where count.lost > 0:
            let details = count.details
            return "\(Self.grouped(count.lost)) of \(Self.grouped(count.before)) files lost"
                + (details.isEmpty ? "" : " (\(details.joined(separator: ", ")))")
        case (_, .counted(let count)) where count.doubtful > 0:
            return
                "no file lost; \(Self.grouped(count.doubtful)) of \(Self.grouped(count.before)) failed a checksum before, "
                + "and may not hold what they held"
        case (_, .counted(let count)) where count.isIncomplete:
            return
                "no file of \(Self.grouped(count.before)) lost, but a part of the original could not be read: there may have been more"
        case (_, .counted(let count)) where count.hasLostJournal:
            return "no file of \(Self.grouped(count.before)) lost, but the changes that its journal still held"
        case (_, .counted): return ""
        case (_, .checkersWords(let problem)):
            return "what it cost could not be counted (\(problem)); the checker's log says what was done"
        }
    }

    /// The sentence for a repair that is not merged.
    ///
    /// - Parameter log: path of the checker's output.
    func refusal(log: String) -> String {
        let allowing = "to merge all the same: --allow \(Allowance.heavyLoss.rawValue)"
        let what: String
        switch evidence {
        case .counted(let count) where count.lost > 0:
            what =
                "\(Self.grouped(count.lost)) of \(Self.grouped(count.before)) files would be gone, changed or without a name"
                + (count.hasNewRoot ? ", the root folder among them" : "")
        case .counted(let count) where count.isIncomplete && !count.hasNewRoot:
            what = "a part of the original could not be read, so that nobody knows what would be gone"
        case .counted: what = "the root folder would be made anew"
        case .checkersWords(let problem):
            what = "the checker removes, cuts or moves files, and how many could not be counted (\(problem))"
        }
        return "heavy loss: \(what); nothing was merged; look at \(log); \(allowing)"
    }

    /// `1,204`.
    static func grouped(_ number: Int) -> String {
        let digits = Array(String(number))
        return digits.enumerated().reduce(into: "") { text, digit in
            if digit.offset > 0, (digits.count - digit.offset) % 3 == 0 { text.append(",") }
            text.append(digit.element)
        }
    }
}

extension LossCount {
    /// What became of those that were lost.
    fileprivate var details: [String] {
        let all = [
            (gone, "gone"), (reconnected, "in lost+found"), (moved, "under another name"),
            (altered, "with other content"),
        ]
        return all.filter { $0.0 > 0 }.map { "\(Loss.grouped($0.0)) \($0.1)" }
    }
}
