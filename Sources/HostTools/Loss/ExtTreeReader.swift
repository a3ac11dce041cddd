/// Reads the files and folders of an ext2/3/4, whole or damaged.
///
/// Of a damaged one the reading that finds the most inodes in use counts: each copy of the superblock and of the descriptors is
/// looked at, and a group's inodes are read where most of them are.
struct ExtTreeReader {
    private let device: DeviceReader
    private let geometry: ExtGeometry
    /// Whether it may be damaged, so that what its descriptors say is to be doubted.
    private let isOriginal: Bool
    private var tree: FileTree
    /// Blocks of folders, to be read in their order on the device.
    private var folderBlocks: [FolderBlock] = []
    /// Inodes of folders with what their blocks' checksums begin with.
    private var seeds: [UInt64: UInt32] = [:]

    private struct FolderBlock {
        var block: UInt64
        var folder: UInt64
        /// Whether it may be a node of the index, which has a checksum of another kind.
        var mayBeIndex: Bool
    }

    private static let rootInode: UInt64 = 2

    /// Reads a filesystem.
    ///
    /// - Parameter sister: what a checker made of it, whose superblock may say what this one's does not; nil where it is sound.
    /// - Returns: nil where nothing can be read.
    static func tree(of device: DeviceReader, besides sister: DeviceReader? = nil) -> FileTree? {
        var (lacksJournal, lacksFastCommits, lacksTransactions) = (false, false, false)
        // Where the superblock is a copy, only the journal says whether it holds changes: e2fsck replays it then, too.
        if let first = superblock(device, at: 1024) ?? sister.flatMap({ superblock($0, at: 1024) }), first.hasJournal {
            let reader = ExtTreeReader(device, first, isOriginal: true)
            if let journal = reader.journal {
                if journal.hasFastCommits { lacksFastCommits = true }
                if journal.isTorn { lacksJournal = true }
                lacksTransactions = journal.lacksParts
                device.replace(journal.blocks, escaped: journal.escaped, blockSize: first.blockSize)
            } else {
                lacksJournal = first.needsReplay
            }
        }
        var best: FileTree?
        for geometry in geometries(device, sister) {
            var reader = ExtTreeReader(device, geometry, isOriginal: sister != nil)
            reader.read()
            if reader.tree.tellsMore(than: best) { best = reader.tree }
        }
        best?.lacksJournal = lacksJournal
        best?.lacksFastCommits = lacksFastCommits
        best?.lacksTransactions = lacksTransactions
        if device.isExhausted {
            best?.lacksItems = true
            best?.lacksNames = true
        }
        return best
    }

    private init(_ device: DeviceReader, _ geometry: ExtGeometry, isOriginal: Bool) {
        self.device = device
        self.geometry = geometry
        self.isOriginal = isOriginal
        tree = FileTree(root: Self.rootInode, lostAndFound: geometry.firstInode)
    }

    private static func superblock(_ device: DeviceReader, at offset: UInt64) -> ExtGeometry? {
        device.read(at: offset, count: 1024).flatMap { ExtGeometry(superblock: $0) }
    }

    /// The shapes that superblocks give it, without those that differ in nothing that matters here.
    private static func geometries(_ device: DeviceReader, _ sister: DeviceReader?) -> [ExtGeometry] {
        var found: [ExtGeometry] = []
        func add(_ geometry: ExtGeometry?) {
            if let geometry, !found.contains(where: { $0.isSameShape(as: geometry) }) { found.append(geometry) }
        }
        add(sister.flatMap { superblock($0, at: 1024) })
        add(superblock(device, at: 1024))
        for geometry in found {
            for group in geometry.backups { add(superblock(device, at: geometry.start(of: group))) }
        }
        return found
    }

    private mutating func read() {
        for group in 0..<geometry.groupCount { readInodes(of: group) }
        readFolders()
        if tree.lacksItems { addUnfound() }
    }

    /// What can't be listed is counted by the superblock, where that was written when the filesystem was unmounted. It is not asked
    /// where everything could be listed: its number would be the single wrong thing then.
    private mutating func addUnfound() {
        guard let own = Self.superblock(device, at: 1024), own.isSameShape(as: geometry), let used = own.usedInodes
        else {
            return
        }
        let ours = geometry.firstInode - 1 + UInt64(geometry.ownInodes.count { $0 >= geometry.firstInode })
        if tree.addUnfound(of: used - min(used, ours)) { tree.lacksItems = false }
    }

    // MARK: Inodes

    /// A group as its descriptors describe it: the first one of which the checksum is right comes first.
    private func descriptions(of group: UInt64) -> [ExtGroup] {
        var found: [ExtGroup] = []
        for copy in [0] + geometry.backups.prefix(3) {
            let place = geometry.descriptorPlace(of: group, in: copy)
            guard let bytes = device.read(at: place, count: geometry.descriptorSize) else { continue }
            var description = ExtGroup(bytes, number: group, isCopy: copy != 0, geometry)
            guard description.table > geometry.firstBlock, description.table < geometry.blockCount else { continue }
            if copy == 0, isOriginal, isAsOld(description, bytes, group) { description.isCopy = true }
            if copy == 0, description.isRight == true { return [description] }
            if !found.contains(where: { $0.table == description.table }) { found.append(description) }
        }
        return found
    }

    /// Whether a descriptor has not changed since its copy was written, and the group's map of inodes has: somebody put the copy in its
    /// place.
    private func isAsOld(_ description: ExtGroup, _ bytes: Bytes, _ group: UInt64) -> Bool {
        guard let backup = geometry.backups.first,
            let copy = device.read(at: geometry.descriptorPlace(of: group, in: backup), count: geometry.descriptorSize),
            copy.all.elementsEqual(bytes.all), let map = GroupReading.paddedMap(description, geometry, device)
        else { return false }
        let used = map.all.reduce(0) { $0 + UInt64($1.nonzeroBitCount) }
        return used != geometry.inodesPerGroup - min(description.freeInodes, geometry.inodesPerGroup)
    }

    private mutating func readInodes(of group: UInt64) {
        var best: GroupReading?
        let descriptions = descriptions(of: group)
        if descriptions.isEmpty { tree.lacksItems = true }
        for description in descriptions {
            let reading = GroupReading(group, description, geometry, device, isOriginal: isOriginal)
            if reading.score > best?.score ?? -1 { best = reading }
        }
        guard let best else { return }
        if !best.isWhole { tree.lacksItems = true }
        for inode in best.inodes { add(inode) }
        for lost in best.lost where isFile(lost) { tree.items.append(.init(id: lost, content: 0, isDoubtful: true)) }
    }

    /// One way to read a group's inodes.
    private struct GroupReading {
        var inodes: [ExtInode] = []
        /// Inodes that the group's map says are used, and that are not there.
        var lost: [UInt64] = []
        var score = 0
        var isWhole = true

        init(
            _ group: UInt64, _ description: ExtGroup, _ geometry: ExtGeometry, _ device: DeviceReader, isOriginal: Bool
        ) {
            let inodeSize = UInt64(geometry.inodeSize)
            let first = group * geometry.inodesPerGroup + 1
            var used = geometry.inodesPerGroup - description.neverUsed
            let start = description.table * geometry.blockSize
            let step = max(geometry.blockSize, 1 << 18) / inodeSize
            var unlike: [UInt64] = []
            var index: UInt64 = 0
            // Old descriptors call inodes unused that came later; only a checksum tells them from what lay there before.
            let looksBehind = description.isCopy || isOriginal && geometry.hasChecksums
            while index < used || looksBehind && index < geometry.inodesPerGroup {
                let isBehind = index >= used
                let count =
                    isBehind
                    ? min(geometry.blockSize / inodeSize, geometry.inodesPerGroup - index) : min(step, used - index)
                let known = inodes.count
                let bytes = device.read(at: start &+ index * inodeSize, count: Int(count * inodeSize))
                if bytes == nil { isWhole = false }
                for offset in 0..<count {
                    let number = first + index + offset
                    let raw = bytes?.part(Int(offset * inodeSize), geometry.inodeSize)
                    if let raw, let inode = ExtInode(number, raw, geometry), inode.isRight || !isBehind {
                        inodes.append(inode)
                        score += inode.isRight ? 4 : 1
                    } else if isOriginal, !(raw?.isDeletedInode ?? false) {
                        unlike.append(number)
                    }
                }
                index += count
                if isBehind {
                    guard inodes.count > known || description.isCopy else { break }
                    used = index
                }
            }
            guard !unlike.isEmpty else { return }
            guard let map = Self.map(description, geometry, device, Set(inodes.map(\.number)), first) else {
                // What is left to tell how many there were is the descriptor, if it is no copy from long ago. Free ones lie behind the
                // used ones mostly.
                guard !description.isCopy, description.isRight != false,
                    description.freeInodes <= geometry.inodesPerGroup
                else {
                    isWhole = false
                    return
                }
                let count = Int(geometry.inodesPerGroup - description.freeInodes)
                let own = group == 0 ? Int(geometry.firstInode) - 1 : 0
                let known = inodes.count { $0.number >= geometry.firstInode } + own
                lost = Array(unlike.filter { $0 >= geometry.firstInode }.prefix(max(0, count - known)))
                return
            }
            lost = unlike.filter { number in
                let bit = Int(number - first)
                return map.u8(bit / 8) >> UInt8(bit % 8) & 1 == 1
            }
        }

        /// The map of used inodes, where the rest of its block is set, as mke2fs and the kernel leave it: neither noise nor zeros are.
        static func paddedMap(_ description: ExtGroup, _ geometry: ExtGeometry, _ device: DeviceReader) -> Bytes? {
            let count = Int(geometry.inodesPerGroup / 8)
            guard geometry.inodesPerGroup % 8 == 0, count < Int(geometry.blockSize),
                description.inodeMap < geometry.blockCount,
                let block = device.read(at: description.inodeMap * geometry.blockSize, count: Int(geometry.blockSize)),
                block.part(count, Int(geometry.blockSize)).all.allSatisfy({ $0 == 0xFF })
            else { return nil }
            return block.part(0, count)
        }

        /// The map of used inodes, where it is trustworthy: by its checksum, or as it agrees with the descriptor or with the inodes
        /// that are there.
        private static func map(
            _ description: ExtGroup, _ geometry: ExtGeometry, _ device: DeviceReader, _ found: Set<UInt64>,
            _ first: UInt64
        ) -> Bytes? {
            // What a copy says of it was so long ago; that it is one can be seen.
            if description.isCopy, let map = paddedMap(description, geometry, device) { return map }
            guard description.neverUsed < geometry.inodesPerGroup, description.inodeMap < geometry.blockCount,
                let map = device.read(
                    at: description.inodeMap * geometry.blockSize, count: Int(geometry.inodesPerGroup + 7) / 8)
            else { return nil }
            if geometry.hasChecksums {
                let mask: UInt32 = geometry.descriptorSize >= 64 ? ~0 : 0xFFFF
                return map.crc32c(seed: geometry.checksumSeed) & mask == description.inodeMapChecksum ? map : nil
            }
            let numbers = (0..<geometry.inodesPerGroup).filter {
                first + $0 >= geometry.firstInode && map.u8(Int($0 / 8)) >> UInt8($0 % 8) & 1 == 1
            }
            if !numbers.isEmpty, Set(numbers.map { first + $0 }) == found.filter({ $0 >= geometry.firstInode }) {
                return map
            }
            guard !description.isCopy, description.isRight != false, description.freeInodes <= geometry.inodesPerGroup
            else { return nil }
            let used = map.all.reduce(0) { $0 + UInt64($1.nonzeroBitCount) }
            let padding = UInt64(map.count * 8) - geometry.inodesPerGroup
            return used - min(used, padding) == geometry.inodesPerGroup - description.freeInodes
                || used == geometry.inodesPerGroup - description.freeInodes ? map : nil
        }
    }

    private func isFile(_ number: UInt64) -> Bool {
        number >= geometry.firstInode && !geometry.ownInodes.contains(number)
    }

    private mutating func add(_ inode: ExtInode) {
        if inode.number == Self.rootInode {
            guard inode.isFolder else { return }
            tree.hasRoot = true
        } else {
            guard isFile(inode.number), !(inode.isAttributeInode && inode.isRight) else { return }
        }
        var content = Hasher()
        content.combine(inode.kind)
        var isDoubtful = !inode.isRight
        if inode.isFolder {
            seeds[inode.number] = inode.seed
            if inode.isInline {
                addInlineNames(inode)
            } else {
                let blocks = mapping(of: inode)
                if !blocks.isWhole { tree.lacksNames = true }
                for run in blocks.runs {
                    for index in 0..<run.count where folderBlocks.count < 1 << 24 {
                        folderBlocks.append(
                            FolderBlock(
                                block: run.block + index, folder: inode.number, mayBeIndex: inode.isIndexed))
                    }
                }
            }
        } else {
            content.combine(inode.size)
            content.combine(inode.attributes)
            if inode.isInline || !inode.hasBlocks {
                content.combine(inode.blockBytesPart.hash)
            } else {
                let blocks = mapping(of: inode)
                if !blocks.isWhole { isDoubtful = true }
                let end = (inode.size + geometry.blockSize - 1) / geometry.blockSize
                content.combine(blocks.runs.compactMap { $0.cut(to: end) })
                // What could not be read is lost when the checker has cut it off.
                content.combine(blocks.isWhole)
                content.combine(inode.lacksBlocks(beside: blocks.runs.reduce(0) { $0 + $1.count }, geometry))
            }
        }
        if inode.number != Self.rootInode {
            tree.items.append(.init(id: inode.number, content: content.finalize(), isDoubtful: isDoubtful))
        }
    }

    // MARK: Blocks of an inode

    private struct Run: Hashable {
        var logical: UInt64
        var block: UInt64
        var count: UInt64
        var isUnwritten = false

        /// The part before a block of the file; nil where none is.
        func cut(to end: UInt64) -> Run? {
            guard logical < end else { return nil }
            var run = self
            run.count = min(count, end - logical)
            return run
        }
    }

    private struct Mapping {
        var runs: [Run] = []
        /// Whether all of it could be read and makes sense.
        var isWhole = true

        mutating func add(_ run: Run) {
            if let last = runs.last, last.logical + last.count == run.logical, last.block + last.count == run.block,
                last.isUnwritten == run.isUnwritten
            {
                runs[runs.count - 1].count += run.count
            } else {
                runs.append(run)
            }
        }
    }

    private func mapping(of inode: ExtInode) -> Mapping {
        var mapping = Mapping()
        if inode.usesExtents {
            readExtents(inode.blockBytesPart, depth: nil, inode, &mapping)
        } else {
            var logical: UInt64 = 0
            let part = inode.blockBytesPart
            for index in 0..<15 {
                readPointer(UInt64(part.le32(index * 4)), depth: max(0, index - 11), &logical, inode, &mapping)
            }
        }
        return mapping
    }

    private func readExtents(_ node: Bytes, depth: UInt16?, _ inode: ExtInode, _ mapping: inout Mapping) {
        let count = Int(node.le16(2))
        let own = node.le16(6)
        guard node.le16(0) == 0xF30A, count <= (node.count - 12) / 12, own <= 5, depth.map({ $0 == own }) ?? true else {
            mapping.isWhole = false
            return
        }
        for index in 0..<count {
            let entry = node.part(12 + index * 12, 12)
            let logical = UInt64(entry.le32(0))
            guard own > 0 else {
                let length = UInt64(entry.le16(4))
                let block = UInt64(entry.le32(8)) | UInt64(entry.le16(6)) << 32
                let isUnwritten = length > 0x8000
                let blocks = isUnwritten ? length - 0x8000 : length
                guard blocks > 0, block > 0, block + blocks <= geometry.blockCount else {
                    mapping.isWhole = false
                    continue
                }
                mapping.add(Run(logical: logical, block: block, count: blocks, isUnwritten: isUnwritten))
                continue
            }
            let block = UInt64(entry.le32(4)) | UInt64(entry.le16(8)) << 32
            guard let child = device.read(at: block &* geometry.blockSize, count: Int(geometry.blockSize)) else {
                mapping.isWhole = false
                continue
            }
            if geometry.hasChecksums {
                let end = min(child.count - 4, 12 + 12 * Int(child.le16(4)))
                if child.part(0, end).crc32c(seed: inode.seed) != child.le32(end) { mapping.isWhole = false }
            }
            readExtents(child, depth: own - 1, inode, &mapping)
        }
    }

    private func readPointer(
        _ block: UInt64, depth: Int, _ logical: inout UInt64, _ inode: ExtInode, _ mapping: inout Mapping
    ) {
        let width = geometry.blockSize / 4
        let covered = (0..<depth).reduce(UInt64(1)) { product, _ in product * width }
        guard block != 0 else {
            logical += covered
            return
        }
        guard block < geometry.blockCount else {
            mapping.isWhole = false
            logical += covered
            return
        }
        guard depth > 0 else {
            mapping.add(Run(logical: logical, block: block, count: 1))
            logical += 1
            return
        }
        guard let table = device.read(at: block * geometry.blockSize, count: Int(geometry.blockSize)) else {
            mapping.isWhole = false
            logical += covered
            return
        }
        for index in 0..<Int(width) {
            readPointer(UInt64(table.le32(index * 4)), depth: depth - 1, &logical, inode, &mapping)
        }
    }

    /// The journal; nil where it can't be read.
    private var journal: ExtJournal? {
        let number = geometry.journal == 0 ? 8 : geometry.journal
        let group = (number - 1) / geometry.inodesPerGroup
        let index = (number - 1) % geometry.inodesPerGroup
        let descriptions = group < geometry.groupCount ? descriptions(of: group) : []
        let places = descriptions.map { $0.table * geometry.blockSize + index * UInt64(geometry.inodeSize) }
        // e2fsck takes the superblock's copy where the inode is damaged.
        let inodes =
            places.compactMap { device.read(at: $0, count: geometry.inodeSize) }
            + [geometry.journalCopy].compactMap { $0.map(Bytes.init) }
        return inodes.lazy.compactMap { ExtInode(number, $0, geometry) }.compactMap(journal(of:)).first
    }

    private func journal(of inode: ExtInode) -> ExtJournal? {
        let length = inode.size / geometry.blockSize
        // At most what mke2fs gives a journal: 10,240,000 blocks.
        guard !inode.isFolder, length > 0, length <= 10_240_000 else { return nil }
        var map = [UInt64](repeating: 0, count: Int(length))
        for run in mapping(of: inode).runs {
            for index in 0..<run.count where run.logical + index < length {
                map[Int(run.logical + index)] = run.block + index
            }
        }
        // What the kernel gives a journal: checksums of version 3 (0x10), 64 bits (0x2).
        let features: UInt32 = (geometry.hasChecksums ? 0x10 : 0) | (geometry.descriptorSize >= 64 ? 0x2 : 0)
        return ExtJournal(
            device, map: map, blockSize: geometry.blockSize, assumed: geometry.needsReplay ? features : nil)
    }

    // MARK: Folders

    private mutating func readFolders() {
        folderBlocks.sort { $0.block < $1.block }
        let size = geometry.blockSize
        var index = 0
        while index < folderBlocks.count {
            // Blocks that lie side by side are read at once.
            let first = folderBlocks[index].block
            var end = index + 1
            while end < folderBlocks.count, folderBlocks[end].block - first < 64,
                folderBlocks[end].block - folderBlocks[end - 1].block <= 1
            {
                end += 1
            }
            let count = folderBlocks[end - 1].block - first + 1
            let bytes = device.read(at: first * size, count: Int(count * size))
            for place in folderBlocks[index..<end] {
                guard
                    let block = bytes?.part(Int((place.block - first) * size), Int(size))
                        ?? device.read(at: place.block * size, count: Int(size))
                else {
                    tree.lacksNames = true
                    continue
                }
                addNames(block, place)
            }
            index = end
        }
    }

    private mutating func addNames(_ block: Bytes, _ place: FolderBlock) {
        let size = block.count
        var isRight = true
        // A node of the index looks like a block with one free entry.
        let isIndex =
            place.mayBeIndex
            && (block.le32(0) == 0 && Int(block.le16(4)) == size
                || block.le16(4) == 12 && Int(block.le16(16)) == size - 12)
        if geometry.hasChecksums, !isIndex, let seed = seeds[place.folder] {
            let tail = block.part(size - 12, 12)
            isRight =
                tail.le32(0) == 0 && tail.le16(4) == 12 && tail.u8(7) == 0xDE
                && block.part(0, size - 12).crc32c(seed: seed) == tail.le32(8)
        }
        addNames(block, in: place.folder, isRight: isRight)
    }

    private mutating func addNames(_ block: Bytes, in folder: UInt64, isRight: Bool) {
        let first = tree.names.count
        var isRight = isRight
        var offset = 0
        while offset + 8 <= block.count {
            let item = UInt64(block.le32(offset))
            // 65,536 does not fit, and is written as 0 or 65,535.
            let length =
                [0, 65535].contains(block.le16(offset + 4)) && block.count == 65536
                ? 65536 : Int(block.le16(offset + 4))
            let nameLength = Int(block.u8(offset + 6))
            guard length >= 8, length % 4 == 0, offset + length <= block.count, 8 + nameLength <= length || item == 0
            else {
                isRight = false
                break
            }
            if item != 0, nameLength > 0 {
                let name = block.part(offset + 8, nameLength)
                let isOwn = nameLength <= 2 && name.all.allSatisfy { $0 == UInt8(ascii: ".") }
                // Without the feature the byte is the length's upper half, which is 0: unknown.
                if !isOwn { addName(name, of: item, in: folder, mayBeFolder: [0, 2].contains(block.u8(offset + 7))) }
            }
            offset += length
        }
        if !isRight { for index in first..<tree.names.count { tree.names[index].isDoubtful = true } }
        if !isRight { tree.lacksNames = true }
    }

    private mutating func addName(_ name: Bytes, of item: UInt64, in folder: UInt64, mayBeFolder: Bool) {
        guard item == Self.rootInode || isFile(item), item <= geometry.inodeCount else {
            // A number that no file can have: the name's file is lost, unless it is found without a name.
            tree.names.append(.init(folder: folder, name: name.hash, item: ~UInt64(tree.names.count), isDoubtful: true))
            return
        }
        let isLostAndFound = folder == Self.rootInode && name.all.elementsEqual("lost+found".utf8)
        tree.names.append(
            .init(
                folder: folder, name: name.hash, item: item, isLostAndFound: isLostAndFound, mayBeFolder: mayBeFolder))
    }

    private mutating func addInlineNames(_ inode: ExtInode) {
        // The first four bytes are the number of the folder above.
        addNames(inode.blockBytesPart.part(4, 56), in: inode.number, isRight: true)
        if let more = inode.inlineData { addNames(more, in: inode.number, isRight: true) }
    }
}

extension ExtGeometry {
    /// Whether the same files are found with it.
    fileprivate func isSameShape(as other: ExtGeometry) -> Bool {
        blockSize == other.blockSize && blockCount == other.blockCount && firstBlock == other.firstBlock
            && blocksPerGroup == other.blocksPerGroup && inodesPerGroup == other.inodesPerGroup
            && inodeSize == other.inodeSize && descriptorSize == other.descriptorSize
            && firstMetaGroup == other.firstMetaGroup && checksumSeed == other.checksumSeed
            && hasChecksums == other.hasChecksums && firstInode == other.firstInode
    }
}

extension Bytes {
    /// Whether it is an inode of a file that was deleted, also of one that somebody had open still: that has no time of deletion
    /// yet. One that was only zeroed is neither.
    fileprivate var isDeletedInode: Bool { le16(0x1A) == 0 && (le32(0x14) != 0 || le16(0) != 0) }

    /// Stands for these bytes.
    var hash: Int {
        var hasher = Hasher()
        all.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}

/// An inode in use.
private struct ExtInode {
    let number: UInt64
    /// Type and permissions.
    let kind: UInt16
    let size: UInt64
    let flags: UInt32
    /// Whether its checksum is right, or it has none.
    let isRight: Bool
    /// What the checksums of its blocks begin with.
    let seed: UInt32
    /// Stands for its extended attributes.
    let attributes: Int
    private let raw: Bytes

    /// - Returns: nil where it is not in use, or is none.
    init?(_ number: UInt64, _ raw: Bytes, _ geometry: ExtGeometry) {
        kind = raw.le16(0)
        guard [0x1, 0x2, 0x4, 0x6, 0x8, 0xA, 0xC].contains(kind >> 12), raw.le16(0x1A) > 0 else { return nil }
        self.number = number
        self.raw = raw
        size = UInt64(raw.le32(0x04)) | UInt64(raw.le32(0x6C)) << 32
        flags = raw.le32(0x20)
        let start = CRC32C.update(geometry.checksumSeed, littleEndian: UInt32(truncatingIfNeeded: number))
        seed = geometry.hasChecksums ? CRC32C.update(start, littleEndian: raw.le32(0x64)) : 0
        let extra = raw.count > 128 ? Int(raw.le16(0x80)) : 0
        // One with a time of deletion is used all the same, as long as names lead to it.
        isRight =
            raw.le32(0x14) == 0
            && (!geometry.hasChecksums || Self.checksum(raw, seed, extra) == Self.stored(raw, extra))
        var attributes = Hasher()
        attributes.combine(raw.le32(0x68))
        attributes.combine(raw.le16(0x76))
        let own = raw.part(128 + extra, raw.count)
        if own.le32(0) == 0xEA02_0000 { attributes.combine(own.hash) }
        self.attributes = attributes.finalize()
    }

    private static func stored(_ raw: Bytes, _ extra: Int) -> UInt32 {
        UInt32(raw.le16(0x7C)) | (extra >= 4 ? UInt32(raw.le16(0x82)) << 16 : 0)
    }

    private static func checksum(_ raw: Bytes, _ seed: UInt32, _ extra: Int) -> UInt32 {
        let first = raw.part(0, 128).crc32c(seed: seed, hole: 0x7C..<0x7E)
        guard raw.count > 128 else { return first & 0xFFFF }
        guard extra >= 4 else { return raw.part(128, raw.count).crc32c(seed: first) & 0xFFFF }
        return raw.part(128, raw.count).crc32c(seed: first, hole: 2..<4)
    }

    var isFolder: Bool { kind >> 12 == 0x4 }
    var isLink: Bool { kind >> 12 == 0xA }
    var isInline: Bool { flags & 0x1000_0000 != 0 }
    var isIndexed: Bool { flags & 0x1000 != 0 }
    var usesExtents: Bool { flags & 0x8_0000 != 0 }
    /// Whether it holds the value of an attribute, and has no name.
    var isAttributeInode: Bool { flags & 0x20_0000 != 0 }
    /// Whether the 60 bytes point at blocks.
    var hasBlocks: Bool { kind >> 12 == 0x8 || isFolder || isLink && (size >= 60 || usesExtents) }
    /// The 60 bytes that point at blocks, or hold what needs no more.
    var blockBytesPart: Bytes { raw.part(0x28, 60) }

    /// Whether a file with holes counts more blocks as its own than it has, so that what pointed at them is gone.
    ///
    /// - Parameter blocks: how many hold content.
    func lacksBlocks(beside blocks: UInt64, _ geometry: ExtGeometry) -> Bool {
        // EXT4_HUGE_FILE_FL counts blocks of the filesystem, not of 512 bytes.
        let count = UInt64(raw.le32(0x1C)) | UInt64(raw.le16(0x74)) << 32
        let claimed = flags & 0x4_0000 != 0 ? count : count * 512 / geometry.blockSize
        let width = geometry.blockSize / 4
        // Blocks that point at blocks, and one of attributes.
        let most = blocks + blocks / width + 4
        return kind >> 12 == 0x8 && blocks * geometry.blockSize < size && claimed > most
    }

    /// The value of the attribute `system.data`, which holds what does not fit into the 60 bytes.
    var inlineData: Bytes? {
        let start = 128 + Int(raw.le16(0x80))
        guard raw.part(start, 4).le32(0) == 0xEA02_0000 else { return nil }
        let entries = raw.part(start + 4, raw.count)
        var offset = 0
        while offset + 16 <= entries.count, entries.le32(offset) != 0 {
            let length = Int(entries.u8(offset))
            if entries.u8(offset + 1) == 7, entries.part(offset + 16, length).all.elementsEqual("data".utf8) {
                return entries.part(Int(entries.le16(offset + 2)), Int(entries.le32(offset + 8)))
            }
            offset += 16 + (length + 3) / 4 * 4
        }
        return nil
    }
}
