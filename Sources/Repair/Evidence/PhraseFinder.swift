/// Finds many fixed phrases in one pass, whatever the text is (Aho and Corasick, "Efficient string matching", 1975).
///
/// Each byte costs one step in a table: no phrase, and no text, makes it slower. A regular expression that a guest can make
/// backtrack has no place where a guest chooses the text.
struct PhraseFinder: Sendable {
    /// Which column of the table a byte has; 0 for those that are in no phrase.
    private let columns: [Int]
    private let columnCount: Int
    /// By state and column, where to go.
    private let next: [UInt16]
    /// By state, the phrases that end there.
    private let endings: [[Int]]

    /// - Parameter phrases: not empty each; together less than 65,536 bytes.
    init(_ phrases: [String]) {
        var columns = [Int](repeating: 0, count: 256)
        var columnCount = 1
        for byte in Set(phrases.flatMap(\.utf8)).sorted() {
            columns[Int(byte)] = columnCount
            columnCount += 1
        }
        // The tree of the phrases; 0 is the root, and as a target: nothing yet.
        var next = [Int](repeating: 0, count: columnCount)
        var endings: [[Int]] = [[]]
        for (number, phrase) in phrases.enumerated() {
            var state = 0
            for byte in phrase.utf8 {
                let place = state * columnCount + columns[Int(byte)]
                if next[place] == 0 {
                    next[place] = endings.count
                    next += [Int](repeating: 0, count: columnCount)
                    endings.append([])
                }
                state = next[place]
            }
            endings[state].append(number)
        }
        // By levels: where a state has no way on, it goes where the longest phrase's beginning goes that also ends here.
        var fallback = [Int](repeating: 0, count: endings.count)
        var level = next[..<columnCount].filter { $0 != 0 }
        while !level.isEmpty {
            var below: [Int] = []
            for state in level {
                endings[state] += endings[fallback[state]]
                for column in 0..<columnCount {
                    let place = state * columnCount + column
                    let instead = next[fallback[state] * columnCount + column]
                    if next[place] == 0 {
                        next[place] = instead
                    } else {
                        fallback[next[place]] = instead
                        below.append(next[place])
                    }
                }
            }
            level = below
        }
        self.columns = columns
        self.columnCount = columnCount
        self.next = next.map { UInt16($0) }
        self.endings = endings
    }

    /// Gives every occurrence: the phrase's number, and where it ends (the index behind its last byte), in the order of the ends.
    func find(in bytes: [UInt8], _ found: (_ phrase: Int, _ end: Int) -> Void) {
        var state = 0
        for index in bytes.indices {
            state = Int(next[state * columnCount + columns[Int(bytes[index])]])
            guard state != 0 else { continue }
            for phrase in endings[state] { found(phrase, index + 1) }
        }
    }
}
