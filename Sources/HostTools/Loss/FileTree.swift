/// What one reading of a filesystem found: its files and folders, and their names. Not one byte of their content, and no name
/// in clear: both are only compared.
struct FileTree {
    /// A file or a folder.
    struct Item {
        /// What it is known by in both readings: its inode number; on FAT its place.
        var id: UInt64
        /// Stands for its kind, its size and the places of its content. Of a folder only its kind counts: its content is the names.
        var content: Int
        /// Whether something that describes it failed its own checksum or contradicts itself: a checker may keep it, and nobody
        /// knows whether it is what it was.
        var isDoubtful = false
        /// Whether one of two tables that should be alike knows nothing of it.
        var isDisputed = false
    }

    /// A name in a folder.
    struct Name {
        var folder: UInt64
        /// Stands for the name itself.
        var name: Int
        var item: UInt64
        /// Whether the block that it stands in failed its own checksum or makes no sense.
        var isDoubtful = false
        /// Whether it is a place where a checker puts what it found without a name.
        var isLostAndFound = false
        /// Whether what it leads to may be a folder.
        var mayBeFolder = true
    }

    /// The root folder.
    var root: UInt64
    /// Whether a file is known by a number that it keeps wherever its name is.
    var hasInodes = true
    /// Whether it could be found at its place.
    var hasRoot = false
    /// Everything in use, besides the filesystem's own inodes.
    var items: [Item] = []
    /// Inodes of what was deleted while somebody had it open: nobody's, but a checker may put them into lost+found.
    var deleted: Set<UInt64> = []
    /// Every name, besides `.` and `..`.
    var names: [Name] = []
    /// A folder that is lost+found, where it has no name.
    var lostAndFound: UInt64?
    /// How many more are in use by the filesystem's own counters, of which nothing tells.
    var unfound = 0
    /// Whether there may be items that were not found: a part of what lists them could not be read.
    var lacksItems = false
    /// Whether there may be names that were not found.
    var lacksNames = false
    /// Whether changes that a journal held are lost.
    var lacksJournal = false

    /// Whether a part of what a journal held can't be read, so that nobody knows which files it changed.
    var lacksTransactions = false

    /// Whether a journal holds changes in a form that is not read here.
    var lacksFastCommits = false

    /// Whether there may be files of which nothing is known: neither what describes them, nor their names. The names in a folder are lost
    /// with what describes it.
    var isIncomplete: Bool {
        guard !lacksTransactions else { return true }
        guard lacksItems else { return false }
        let found = Set(items.map(\.id))
        return lacksNames || names.contains { $0.mayBeFolder && !found.contains($0.item) && $0.item != root }
    }

    /// Counts what the filesystem counts as used and nothing tells of any more.
    ///
    /// - Parameters:
    ///   - used: how many files and folders are in use by its own counters.
    /// - Returns: whether these can be right: they count no less than was found.
    @discardableResult
    mutating func addUnfound(of used: UInt64) -> Bool {
        let known = UInt64(Set(items.map(\.id)).union(names.map(\.item)).subtracting([root]).count)
        guard used >= known else { return false }
        unfound = Int(clamping: min(used - known, 1 << 40))
        return true
    }

    /// Whether it is the better one of two readings of the same bytes: more of its items have a name, or none has one in either, and
    /// there are more. What is read in the wrong shape may look like items, but no folder knows their numbers.
    func tellsMore(than other: FileTree?) -> Bool {
        guard let other else { return true }
        let named = (namedItems, other.namedItems)
        return named.0 > named.1 || named == (0, 0) && items.count > other.items.count
    }

    private var namedItems: Int {
        let named = Set(names.map(\.item))
        return items.count { named.contains($0.id) }
    }
}

/// What became of the files and folders of a filesystem, as two readings of it show: of the original, and of what a checker made of
/// it.
public struct LossCount: Hashable, Sendable, Codable {
    /// How many files and folders there were, besides the root and lost+found.
    public var before = 0
    /// How many of them are still at their place.
    public var after = 0
    /// How many were put into lost+found.
    public var reconnected = 0
    /// How many are somewhere else than they were.
    public var moved = 0
    /// How many of those that are nowhere any more had no name before, and only one of two tables knew them.
    public var unnamed = 0
    /// How many of those that were put into lost+found had no name before, and only one of two tables knew them.
    public var disputed = 0
    /// How many of those that are at their place have other content, or lost some.
    public var altered = 0
    /// How many of those that are at their place look as before, and failed a checksum before.
    public var doubtful = 0
    /// Whether the root folder was lost, and made anew.
    public var hasNewRoot = false
    /// Whether the original could be read in part only, so that there may have been more.
    public var isIncomplete = false

    /// Whether names could not be read, so that what has none may have had one.
    public var lacksNames = false

    /// Whether changes that the original's journal still held could not be read, and are lost.
    public var hasLostJournal = false

    /// Nothing was there.
    public init() {}
}

extension LossCount {
    /// Compares two readings.
    init(from before: FileTree, to after: FileTree) {
        let old = Index(before)
        let new = Index(after)
        isIncomplete = before.isIncomplete || after.isIncomplete
        hasLostJournal = before.lacksJournal
        lacksNames = before.lacksNames
        let kept = Self.kept(from: old, to: new)
        // A name whose inode is gone and an inode that has no name are mostly one file: of the name the number is damaged.
        var nameless = 0
        var gone = 0
        for id in old.ids where id != before.root && !old.isLostAndFound(id) {
            if id == before.lostAndFound, !old.hasName(id) { continue }
            let item = old.item(id)
            let remains = new.item(id)
            if item == nil, remains == nil {
                gone += 1
                continue
            }
            self.before += 1
            if kept.contains(id) {
                self.after += 1
                if let item, let remains, item.content != remains.content {
                    altered += 1
                } else if item == nil || item?.isDoubtful == true || old.hasDoubtfulName(id) {
                    doubtful += 1
                }
            } else if remains != nil, new.isBelowLostAndFound(id) {
                reconnected += 1
                if !old.hasName(id) { nameless += 1 }
                if item?.isDisputed == true, !old.hasName(id) { disputed += 1 }
            } else if remains != nil, new.isReachable(id) {
                moved += 1
            } else if item?.isDisputed == true, !old.hasName(id) {
                unnamed += 1
            }
        }
        self.before += max(0, gone - nameless) + before.unfound
        // One with a wrong field is the same still: what was in it is.
        hasNewRoot = !before.hasRoot && after.hasRoot && self.after == 0
        if after.hasInodes { countFoundLater(old, new) }
    }

    /// Counts what nothing told of in the original, and a checker found all the same: what lies in lost+found now was somewhere.
    private mutating func countFoundLater(_ old: Index, _ new: Index) {
        for id in new.ids where new.isBelowLostAndFound(id) && !new.isLostAndFound(id) && !old.knows(id) {
            before += 1
            reconnected += 1
        }
    }

    /// What is at its place still: in a folder that is at its place, under each of its names that are certain, or under one of those
    /// that are not.
    private static func kept(from old: Index, to new: Index) -> Set<UInt64> {
        guard old.tree.root == new.tree.root else { return [] }
        var kept: Set<UInt64> = [new.tree.root]
        var found: [UInt64: Int] = [:]
        var folders = [new.tree.root]
        while let folder = folders.popLast() {
            let then = Dictionary(old.names(in: folder).map { (NamedItem($0), $0.isDoubtful) }) { $0 && $1 }
            for name in new.names(in: folder) where !kept.contains(name.item) {
                let isFolder = new.isFolder(name.item)
                if old.hasName(name.item) {
                    guard let isDoubtful = then[NamedItem(name)] else { continue }
                    let wanted = old.certainNames(of: name.item)
                    if !isDoubtful { found[name.item, default: 0] += 1 }
                    // A folder has one name; where it had more, the others were damage.
                    guard wanted == 0 || isFolder || found[name.item] == wanted else { continue }
                } else {
                    // It had no name that could be read, and the checker found it one.
                    guard !name.isLostAndFound, !new.isLostAndFound(folder) else { continue }
                }
                kept.insert(name.item)
                if isFolder { folders.append(name.item) }
            }
        }
        return kept
    }

    private struct NamedItem: Hashable {
        var name: Int
        var item: UInt64

        init(_ name: FileTree.Name) {
            self.name = name.name
            item = name.item
        }
    }

    /// A tree, and ways to find things in it.
    private struct Index {
        let tree: FileTree
        private let items: [FileTree.Item]
        /// By folder.
        private let names: [FileTree.Name]
        /// Certain names by item; 0 for one that has doubtful names only.
        private var counts: [UInt64: Int] = [:]
        private var doubtful: Set<UInt64> = []
        private var lost: Set<UInt64> = []
        private var reachable: Set<UInt64> = []
        private var below: Set<UInt64> = []

        init(_ tree: FileTree) {
            self.tree = tree
            items = tree.items.sorted { $0.id < $1.id }
            names = tree.names.sorted { $0.folder < $1.folder }
            for name in names {
                counts[name.item, default: 0] += name.isDoubtful ? 0 : 1
                if name.isDoubtful { doubtful.insert(name.item) }
            }
            lost = Set(tree.names.lazy.filter { $0.isLostAndFound && $0.folder == tree.root }.map(\.item))
            reachable = reached(from: [tree.root], past: lost)
            below = reached(from: Array(lost), past: [])
        }

        /// Everything that is known of: in use, or named.
        var ids: [UInt64] {
            let nameless = items.map(\.id)
            return nameless + counts.keys.filter { item($0) == nil }
        }

        func item(_ id: UInt64) -> FileTree.Item? {
            let index = items.partitioningIndex { $0.id >= id }
            return index < items.count && items[index].id == id ? items[index] : nil
        }

        func names(in folder: UInt64) -> ArraySlice<FileTree.Name> {
            let start = names.partitioningIndex { $0.folder >= folder }
            return names[start...].prefix { $0.folder == folder }
        }

        func knows(_ id: UInt64) -> Bool { hasName(id) || item(id) != nil || tree.deleted.contains(id) }
        func isFolder(_ id: UInt64) -> Bool { !names(in: id).isEmpty }
        func hasName(_ id: UInt64) -> Bool { counts[id] != nil }
        func certainNames(of id: UInt64) -> Int { counts[id] ?? 0 }
        func hasDoubtfulName(_ id: UInt64) -> Bool { doubtful.contains(id) }
        func isLostAndFound(_ id: UInt64) -> Bool { lost.contains(id) }
        func isReachable(_ id: UInt64) -> Bool { reachable.contains(id) }
        func isBelowLostAndFound(_ id: UInt64) -> Bool { below.contains(id) }

        private func reached(from starts: [UInt64], past walls: Set<UInt64>) -> Set<UInt64> {
            var seen = Set(starts)
            var next = starts
            while let folder = next.popLast() {
                for name in names(in: folder) where !walls.contains(name.item) && seen.insert(name.item).inserted {
                    next.append(name.item)
                }
            }
            return seen
        }
    }
}

extension Array {
    /// The first index whose element fulfils a condition that all after it fulfil too.
    fileprivate func partitioningIndex(where isBehind: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
