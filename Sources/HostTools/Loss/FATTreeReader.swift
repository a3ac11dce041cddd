/// Reads the files and folders of a FAT12, FAT16 or FAT32, whole or damaged.
///
/// FAT has no inodes: a file is known by its place, its name in its folder. A chain of clusters that belongs to no name is a file that
/// has lost it, and known by its first cluster. Layout: Microsoft's "FAT: General Overview of On-Disk Format".
struct FATTreeReader {
    private let device: DeviceReader
    private let sectorSize: UInt64
    private let clusterSize: UInt64
    private let rootPlace: UInt64
    private let rootSize: Int
    private let dataPlace: UInt64
    private let clusterCount: UInt32
    private let rootCluster: UInt32
    private var tables: [[UInt32]] = []
    /// Whether it may be damaged, so that there may be names behind the end of a folder: Linux and fsck.fat see those, Windows and
    /// firmware don't. Of a repaired one that counts what everybody sees.
    private let isOriginal: Bool
    private var tree = FileTree(root: 1, hasInodes: false)
    private var ids: Set<UInt64> = []
    /// Clusters that belong to something.
    private var owned: [Bool] = []
    private var folders: [Folder] = []
    private let walks: Walks

    /// A folder that is to be read.
    private struct Folder {
        var id: UInt64
        var cluster: UInt32
        /// First clusters of the folders above: damage makes folders that contain themselves.
        var above: [UInt32] = []
    }

    /// How many folders may lie in each other, and how many names there may be.
    private static let limits = (depth: 64, names: 1 << 22)

    /// Reads a filesystem.
    ///
    /// - Parameter sister: what a checker made of it, whose boot sector may say what this one's does not; nil where it is sound.
    /// - Returns: nil where nothing can be read.
    static func tree(of device: DeviceReader, besides sister: DeviceReader? = nil) -> FileTree? {
        let sectors = [device, sister].compactMap { $0?.read(at: 0, count: 512) }
        let readers = sectors.lazy.compactMap { FATTreeReader(device, bootSector: $0, isOriginal: sister != nil) }
        guard var reader = readers.last else { return nil }
        reader.read()
        if device.isExhausted { (reader.tree.lacksItems, reader.tree.lacksNames) = (true, true) }
        return reader.tree
    }

    private init?(_ device: DeviceReader, bootSector boot: Bytes, isOriginal: Bool) {
        self.device = device
        self.isOriginal = isOriginal
        sectorSize = UInt64(boot.le16(11))
        let perCluster = UInt64(boot.u8(13))
        let reserved = UInt64(boot.le16(14))
        let tableCount = UInt64(boot.u8(16))
        let rootEntries = UInt64(boot.le16(17))
        let sectors = UInt64(boot.le16(19) != 0 ? UInt32(boot.le16(19)) : boot.le32(32))
        let tableSize = UInt64(boot.le16(22) != 0 ? UInt32(boot.le16(22)) : boot.le32(36))
        guard [512, 1024, 2048, 4096].contains(sectorSize), perCluster > 0, perCluster.nonzeroBitCount == 1,
            reserved > 0,
            (1...2).contains(tableCount), tableSize > 0,
            // What the kernel asks for (fs/fat/inode.c, fat_valid_media), and fsck.fat does not look at.
            boot.u8(21) >= 0xF8 || boot.u8(21) == 0xF0
        else { return nil }
        clusterSize = perCluster * sectorSize
        rootSize = Int(rootEntries * 32)
        rootPlace = (reserved + tableCount * tableSize) * sectorSize
        dataPlace = rootPlace + (UInt64(rootSize) + sectorSize - 1) / sectorSize * sectorSize
        guard sectors * sectorSize > dataPlace, sectors * sectorSize <= device.size + 65536 else { return nil }
        let clusters = (sectors * sectorSize - dataPlace) / clusterSize
        let bits: UInt64
        if boot.le16(22) == 0 {
            bits = 32
        } else {
            bits = clusters < 4085 ? 12 : 16
        }
        let room = tableSize * sectorSize * 8 / bits
        guard room > 2, clusters > 0 else { return nil }
        clusterCount = UInt32(clamping: min(clusters, room - 2, 0x0FFF_FFF5))
        rootCluster = bits == 32 ? boot.le32(44) : 0
        for number in 0..<tableCount {
            let place = (reserved + number * tableSize) * sectorSize
            let length = (UInt64(clusterCount) + 2) * bits / 8 + 1
            guard let bytes = device.read(at: place, count: Int(min(length, tableSize * sectorSize))) else {
                return nil
            }
            tables.append(Self.entries(bytes, count: Int(clusterCount) + 2, bits: bits))
        }
        owned = [Bool](repeating: false, count: Int(clusterCount) + 2)
        walks = Walks(clusters: Int(clusterCount) + 2)
    }

    private static let end: UInt32 = 0x0FFF_FFF8
    private static let bad: UInt32 = 0x0FFF_FFF7

    /// The table's entries, those of FAT12 and FAT16 with the marks of FAT32.
    private static func entries(_ bytes: Bytes, count: Int, bits: UInt64) -> [UInt32] {
        (0..<count).map { index in
            switch bits {
            case 32: return bytes.le32(index * 4) & 0x0FFF_FFFF
            case 16:
                let entry = UInt32(bytes.le16(index * 2))
                return entry >= 0xFFF7 ? entry | 0x0FFF_0000 : entry
            default:
                let pair = UInt32(bytes.le16(index * 3 / 2))
                let entry = index % 2 == 0 ? pair & 0xFFF : pair >> 4
                return entry >= 0xFF7 ? entry | 0x0FFF_F000 : entry
            }
        }
    }

    private func isCluster(_ number: UInt32) -> Bool { number >= 2 && number < clusterCount + 2 }

    private mutating func read() {
        tree.hasRoot = true
        if rootCluster == 0 {
            let bytes = rootSize > 0 ? device.read(at: rootPlace, count: rootSize) : nil
            var long: [Bytes] = []
            let root = Folder(id: tree.root, cluster: 0)
            if let bytes { addNames(bytes, in: root, &long) } else { tree.hasRoot = false }
        } else {
            tree.hasRoot = isCluster(rootCluster)
            folders.append(Folder(id: tree.root, cluster: rootCluster))
        }
        readFolders()
        addChainsWithoutName()
    }

    private mutating func readFolders() {
        while let folder = folders.popLast() {
            let chain = chain(from: folder.cluster, wanted: nil)
            if !chain.isWhole { (tree.lacksItems, tree.lacksNames) = (true, true) }
            // A long name may begin in one cluster and end in the next.
            var long: [Bytes] = []
            for cluster in chain.clusters {
                owned[Int(cluster)] = true
                guard let bytes = device.read(at: place(of: cluster), count: Int(clusterSize)) else { continue }
                guard addNames(bytes, in: folder, &long) else { break }
            }
        }
    }

    private func place(of cluster: UInt32) -> UInt64 { dataPlace + UInt64(cluster - 2) * clusterSize }

    private struct Chain {
        var clusters: [UInt32] = []
        /// Whether it ends as a chain does, is as long as it should be, and both tables say the same.
        var isRight = true
        /// Whether it ends as a chain does.
        var isWhole = true
    }

    /// - Parameter wanted: how many clusters there must be; nil where that is not known. Of two tables that differ the one counts
    ///   that has as many.
    private func chain(from start: UInt32, wanted: UInt64?) -> Chain {
        var found = tables.map { chain(from: start, in: $0) }
        let agree = found.count < 2 || found[0].clusters == found[1].clusters
        if let wanted {
            for index in found.indices where UInt64(found[index].clusters.count) != wanted {
                found[index].isRight = false
            }
        }
        var best = found.first(where: \.isRight) ?? found.max { $0.clusters.count < $1.clusters.count } ?? Chain()
        if !agree { best.isRight = false }
        return best
    }

    private func chain(from start: UInt32, in table: [UInt32]) -> Chain {
        var chain = Chain()
        var cluster = start
        let walk = walks.next()
        // A circle has no end.
        while isCluster(cluster), walks.isFirst(cluster, in: walk) {
            chain.clusters.append(cluster)
            cluster = table[Int(cluster)]
        }
        chain.isWhole = cluster >= Self.end
        chain.isRight = chain.isWhole
        return chain
    }

    /// Which clusters a walk along a chain has seen.
    private final class Walks {
        private var last: [UInt32]
        private var number: UInt32 = 0

        init(clusters: Int) { last = [UInt32](repeating: 0, count: clusters) }

        func next() -> UInt32 {
            number &+= 1
            return number
        }

        func isFirst(_ cluster: UInt32, in walk: UInt32) -> Bool {
            defer { last[Int(cluster)] = walk }
            return last[Int(cluster)] != walk
        }
    }

    // MARK: Names

    /// - Returns: whether more may follow.
    @discardableResult
    private mutating func addNames(_ bytes: Bytes, in folder: Folder, _ long: inout [Bytes]) -> Bool {
        for offset in stride(from: 0, to: bytes.count - 31, by: 32) {
            let entry = bytes.part(offset, 32)
            let first = entry.u8(0)
            if first == 0, !isOriginal { return false }
            if first == 0 || first == 0xE5 {
                long = []
                continue
            }
            let attributes = entry.u8(11)
            if attributes & 0x3F == 0x0F {
                long.append(entry)
                continue
            }
            defer { long = [] }
            // Labels, and the entries of a folder for itself and the one above.
            if attributes & 0x08 != 0 || first == UInt8(ascii: ".") { continue }
            addName(entry, long, in: folder)
        }
        return true
    }

    private mutating func addName(_ entry: Bytes, _ long: [Bytes], in folder: Folder) {
        guard tree.names.count < Self.limits.names else {
            (tree.lacksItems, tree.lacksNames) = (true, true)
            return
        }
        let short = entry.part(0, 11)
        let isComplete = Self.isComplete(long, for: short)
        var hasher = Hasher()
        hasher.combine(short.hash)
        if isComplete { for part in long { hasher.combine(part.hash) } }
        let name = hasher.finalize()
        let isFolder = entry.u8(11) & 0x10 != 0
        let size = isFolder ? 0 : UInt64(entry.le32(28))
        let cluster = UInt32(entry.le16(26)) | (rootCluster > 0 ? UInt32(entry.le16(20)) << 16 : 0)
        var content = Hasher()
        content.combine(isFolder)
        content.combine(size)
        let isNoise = !Self.isName(short) || entry.u8(11) & 0xC0 != 0
        var isDoubtful = isNoise
        let isLostAndFound = folder.id == tree.root && Self.isOfChecker(short)
        let id = isLostAndFound ? id(ofChain: cluster) : id(of: name, in: folder.id)
        if isCluster(cluster) {
            if isFolder {
                guard !isNoise || isFolderStart(cluster) else { return }
                content.combine(cluster)
                if folder.above.count < Self.limits.depth, !folder.above.contains(cluster) {
                    folders.append(Folder(id: id, cluster: cluster, above: folder.above + [cluster]))
                }
            } else {
                let chain = chain(from: cluster, wanted: (size + clusterSize - 1) / clusterSize)
                guard !isNoise || chain.isRight else { return }
                // What is behind the size is no content.
                content.combine(Array(chain.clusters.prefix(Int(clamping: (size + clusterSize - 1) / clusterSize))))
                isDoubtful = isDoubtful || !chain.isRight
                for number in chain.clusters {
                    if owned[Int(number)] { isDoubtful = true }
                    owned[Int(number)] = true
                }
            }
            owned[Int(cluster)] = true
        } else if isNoise {
            return
        } else if isFolder || size > 0 {
            isDoubtful = true
        }
        tree.items.append(.init(id: id, content: content.finalize(), isDoubtful: isDoubtful))
        tree.names.append(
            .init(
                folder: folder.id, name: name, item: id, isDoubtful: !isComplete && !long.isEmpty,
                isLostAndFound: isLostAndFound))
    }

    /// What a file is known by; another one for a name that its folder has twice.
    private mutating func id(of name: Int, in folder: UInt64) -> UInt64 {
        var count = 0
        while true {
            var place = Hasher()
            place.combine(folder)
            place.combine(name)
            place.combine(count)
            let id = 1 << 63 | UInt64(truncatingIfNeeded: place.finalize())
            if ids.insert(id).inserted { return id }
            count += 1
        }
    }

    /// What a chain without a name is known by, also when the checker gave it one.
    private func id(ofChain cluster: UInt32) -> UInt64 { 1 << 32 | UInt64(cluster) }

    /// Whether a short name has no byte that none has, as noise would.
    private static func isName(_ short: Bytes) -> Bool {
        short.all.enumerated().allSatisfy { index, byte in
            byte >= 0x20 && !#""*+,./:;<=>?[\]|"#.utf8.contains(byte) || index == 0 && byte == 0x05
        }
    }

    /// A folder begins with entries for itself and the one above.
    private func isFolderStart(_ cluster: UInt32) -> Bool {
        guard let bytes = device.read(at: place(of: cluster), count: 64) else { return false }
        return bytes.part(0, 11).all.elementsEqual(".          ".utf8)
            && bytes.part(32, 11).all.elementsEqual("..         ".utf8)
    }

    /// Whether the entries before a short name are its long one.
    private static func isComplete(_ long: [Bytes], for short: Bytes) -> Bool {
        guard let first = long.first, first.u8(0) & 0x40 != 0, Int(first.u8(0) & 0x3F) == long.count else {
            return false
        }
        let sum = short.all.reduce(UInt8(0)) { ($0 << 7 | $0 >> 1) &+ $1 }
        return long.enumerated().allSatisfy { index, part in
            part.u8(13) == sum && Int(part.u8(0) & 0x3F) == long.count - index
        }
    }

    /// `FSCK0000.REC`: what fsck.fat(8) makes of a chain without a name.
    private static func isOfChecker(_ name: Bytes) -> Bool {
        let text = Array(name.all)
        return text.starts(with: "FSCK".utf8) && text[4..<8].allSatisfy { (0x30...0x39).contains($0) }
            && text[8...].elementsEqual("REC".utf8)
    }

    // MARK: Chains without a name

    private mutating func addChainsWithoutName() {
        for round in 0... {
            var isNext = [Bool](repeating: false, count: owned.count)
            for table in tables {
                for entry in table where isCluster(entry) { isNext[Int(entry)] = true }
            }
            let used = (2..<owned.count).filter { index in
                !owned[index] && tables.contains { $0[index] != 0 && $0[index] != Self.bad }
            }
            let heads = used.filter { !isNext[$0] }.map { UInt32($0) }
            guard !heads.isEmpty else { return }
            for head in round < Self.limits.depth ? outermost(of: heads) : heads where !owned[Int(head)] {
                addChain(from: head)
            }
            readFolders()
        }
    }

    /// Folders that are in none of the others, where any is a folder: what they hold has a name.
    private func outermost(of heads: [UInt32]) -> [UInt32] {
        let inner = heads.filter(isFolderStart)
        let known = Set(inner)
        let outer = inner.filter { head in
            guard let above = device.read(at: place(of: head) + 32, count: 32) else { return true }
            return !known.contains(UInt32(above.le16(26)) | (rootCluster > 0 ? UInt32(above.le16(20)) << 16 : 0))
        }
        return [outer, inner].first { !$0.isEmpty } ?? heads
    }

    private mutating func addChain(from head: UInt32) {
        let chain = chain(from: head, wanted: nil)
        var content = Hasher()
        let isFolder = isFolderStart(head)
        content.combine(isFolder)
        content.combine(chain.clusters)
        for cluster in chain.clusters { owned[Int(cluster)] = true }
        owned[Int(head)] = true
        let id = id(ofChain: head)
        let isDisputed = !isFolder && tables.contains { $0[Int(head)] == 0 }
        tree.items.append(
            .init(id: id, content: content.finalize(), isDoubtful: true, isDisputed: isDisputed))
        if isFolder { folders.append(Folder(id: id, cluster: head, above: [head])) }
    }
}
