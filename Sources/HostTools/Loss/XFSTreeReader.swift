/// Reads the files and folders of an XFS, whole or damaged.
///
/// Inodes are found in four ways, of which each finds what another misses where something is damaged: by the trees of the allocation
/// groups, by the names in folders (an inode's number says where it is), beside inodes that were found, since many are allocated at
/// once, and where a group's tree can't be read by a search of the whole group. The log is not replayed: xfs_repair does not either.
/// Layout: the kernel's fs/xfs/libxfs/xfs_format.h and xfs_da_format.h.
struct XFSTreeReader {
    private let device: DeviceReader
    private let geometry: XFSGeometry
    private var tree: FileTree
    /// First numbers of the clumps that were read.
    private var clumps: Set<UInt64> = []
    private var waiting: [UInt64] = []
    /// Inodes of allocated chunks that are in use by the tree of their group, and are none.
    private var missing: [UInt64] = []

    /// Reads a filesystem.
    ///
    /// - Parameter sister: what a checker made of it, whose superblock may say what this one's does not; nil where it is sound.
    /// - Returns: nil where nothing can be read.
    static func tree(of device: DeviceReader, besides sister: DeviceReader? = nil) -> FileTree? {
        let own = superblock(device)
        let other = sister.flatMap { superblock($0) }
        guard let geometry = other ?? own else { return nil }
        var reader = XFSTreeReader(device, geometry)
        reader.read()
        if device.isExhausted { (reader.tree.lacksItems, reader.tree.lacksNames) = (true, true) }
        return reader.tree
    }

    private static func superblock(_ device: DeviceReader) -> XFSGeometry? {
        device.read(at: 0, count: 512).flatMap { XFSGeometry(superblock: $0) }
    }

    private init(_ device: DeviceReader, _ geometry: XFSGeometry) {
        self.device = device
        self.geometry = geometry
        tree = FileTree(root: geometry.root)
    }

    private mutating func read() {
        var isSearched = false
        for group in 0..<geometry.groupCount where !readGroup(group) {
            isSearched = true
            search(group)
        }
        wantInode(geometry.root)
        while let clump = waiting.popLast() {
            // Many inodes are allocated at once, but where they begin isn't known.
            guard readInodes(from: clump, count: clumpSize, used: nil) else { continue }
            waiting.append(clump &+ clumpSize)
            if clump >= clumpSize { waiting.append(clump - clumpSize) }
        }
        let found = Set(tree.items.map(\.id))
        for number in missing where !found.contains(number) && !geometry.ownInodes.contains(number) {
            tree.items.append(.init(id: number, content: 0, isDoubtful: true))
        }
        if isSearched { addUnfound() }
    }

    /// A search finds no inode that was destroyed; the superblock counts them all. Where it has no checksum, or a wrong one, its count
    /// is no less likely than any other, but may be too small.
    private mutating func addUnfound() {
        guard let own = Self.superblock(device) else {
            tree.lacksItems = true
            return
        }
        if !own.isRight || !own.hasChecksums { tree.lacksItems = true }
        let ours = geometry.ownInodes.subtracting([0]).count { geometry.place(ofInode: $0) != nil } + 1
        let most = geometry.blocksPerGroup * geometry.groupCount * geometry.inodesPerBlock
        guard own.usedInodes <= most else { return }
        tree.addUnfound(of: own.usedInodes - min(own.usedInodes, UInt64(ours)))
    }

    // MARK: Inodes by the trees of the groups

    /// - Returns: whether all of the group's inodes are known now.
    private mutating func readGroup(_ group: UInt64) -> Bool {
        let place = geometry.place(ofBlock: 0, in: group) + 2 * geometry.sectorSize
        guard let head = device.read(at: place, count: Int(geometry.sectorSize)), head.be32(0) == 0x5841_4749,
            UInt64(head.be32(8)) == group
        else { return false }
        var listed: UInt64 = 0
        guard readInodeTree(UInt64(head.be32(20)), level: Int(head.be32(24)) - 1, in: group, &listed) else {
            return false
        }
        // Without checksums the number of inodes is all that tells a whole tree.
        return geometry.hasChecksums || listed == UInt64(head.be32(16))
    }

    /// - Parameter listed: how many inodes are in it is added to this.
    /// - Returns: whether all of it could be read and makes sense.
    private mutating func readInodeTree(
        _ block: UInt64, level: Int, in group: UInt64, _ listed: inout UInt64
    ) -> Bool {
        let header = geometry.hasChecksums ? 56 : 16
        let place = geometry.place(ofBlock: block, in: group)
        guard level >= 0, level < 9, block > 0, block < geometry.blocksPerGroup,
            let bytes = device.read(at: place, count: Int(geometry.blockSize)),
            bytes.be32(0) == (geometry.hasChecksums ? 0x4941_4233 : 0x4941_4254), Int(bytes.be16(4)) == level
        else { return false }
        let isRight =
            !geometry.hasChecksums
            || bytes.le32(52) == ~bytes.crc32c(seed: ~0, hole: 52..<56) && bytes.be64(16) == place / 512
        var isWhole = isRight
        let count = Int(bytes.be16(6))
        let capacity = (bytes.count - header) / (level > 0 ? 8 : 16)
        if count > capacity { isWhole = false }
        for index in 0..<min(count, capacity) {
            guard level == 0 else {
                let child = UInt64(bytes.be32(header + capacity * 4 + index * 4))
                if !readInodeTree(child, level: level - 1, in: group, &listed) { isWhole = false }
                continue
            }
            let record = bytes.part(header + index * 16, 16)
            let first = geometry.inode(UInt64(record.be32(0)), in: group)
            guard first % clumpSize == 0, geometry.place(ofInode: first) != nil else {
                isWhole = false
                continue
            }
            listed += geometry.hasSparseInodes ? UInt64(record.u8(6)) : Self.recordSize
            // Bits of holes are set in the mask of free inodes.
            readInodes(from: first, count: Self.recordSize, used: isRight ? ~record.be64(8) : nil)
        }
        return isWhole
    }

    /// Looks through a whole group for blocks that hold inodes.
    private mutating func search(_ group: UInt64) {
        let step = max(1, (1 << 20) / geometry.blockSize)
        for start in stride(from: 0, to: geometry.blocksPerGroup, by: Int(step)) {
            let place = geometry.place(ofBlock: start, in: group)
            guard place < device.size else { return }
            let wanted = min(step, geometry.blocksPerGroup - start) * geometry.blockSize
            guard let bytes = device.read(at: place, count: Int(min(wanted, device.size - place))) else {
                tree.lacksItems = true
                continue
            }
            for offset in stride(from: 0, to: bytes.count, by: geometry.inodeSize)
            where bytes.be16(offset) == XFSInode.magic {
                let block = start + UInt64(offset) / geometry.blockSize
                let first = geometry.inode(block << geometry.inodeShift, in: group)
                let within = UInt64(offset) % geometry.blockSize / UInt64(geometry.inodeSize)
                readInodes(from: first + within / clumpSize * clumpSize, count: clumpSize, used: nil)
            }
        }
    }

    // MARK: Inodes

    /// How many inodes a record of a group's tree stands for.
    private static var recordSize: UInt64 { 64 }

    /// How many inodes are read or left at once: those of a block, or of a part of one.
    private var clumpSize: UInt64 { min(Self.recordSize, geometry.inodesPerBlock) }

    /// Reads inodes from a number on, but those that were read before.
    ///
    /// - Parameter used: a bit for each that its group's tree calls used; nil where that is not known.
    /// - Returns: whether any was there, in use or not.
    @discardableResult
    private mutating func readInodes(from first: UInt64, count: UInt64, used: UInt64?) -> Bool {
        guard let place = geometry.place(ofInode: first) else { return false }
        let size = geometry.inodeSize
        var bytes: Bytes?
        var isAny = false
        for clump in stride(from: 0, to: count, by: Int(clumpSize)) {
            guard clumps.count < 1 << 22, clumps.insert(first + clump).inserted else { continue }
            bytes = bytes ?? device.read(at: place, count: Int(count) * size)
            for index in clump..<clump + clumpSize {
                let number = first + index
                let offset = Int(index) * size
                guard let raw = bytes?.part(offset, size) ?? device.read(at: place + UInt64(offset), count: size) else {
                    if let used, used >> index & 1 == 1 { missing.append(number) }
                    continue
                }
                if raw.be16(0) == XFSInode.magic { isAny = true }
                if let inode = XFSInode(number, raw, geometry) {
                    add(inode)
                } else if XFSInode.isNobodys(raw, geometry) {
                    if !XFSInode.isFree(raw) { tree.deleted.insert(number) }
                } else if let used, used >> index & 1 == 1 {
                    missing.append(number)
                }
            }
        }
        return isAny
    }

    /// Sees to it that an inode is read.
    private mutating func wantInode(_ number: UInt64) {
        let first = number / clumpSize * clumpSize
        if !clumps.contains(first) { waiting.append(first) }
    }

    private mutating func add(_ inode: XFSInode) {
        if inode.number == geometry.root {
            guard inode.isFolder else { return }
            tree.hasRoot = true
        } else if geometry.ownInodes.contains(inode.number) {
            return
        }
        var content = Hasher()
        content.combine(inode.kind)
        var isDoubtful = !inode.isRight
        var runs: [Run] = []
        if inode.format == 2 || inode.format == 3 {
            isDoubtful = !readRuns(of: inode, &runs) || isDoubtful
        }
        if inode.isFolder {
            if inode.format == 1 {
                addShortNames(inode)
            } else {
                if isDoubtful { tree.lacksNames = true }
                readFolder(inode, runs)
            }
        } else {
            content.combine(inode.size)
            content.combine(inode.format)
            content.combine(inode.attributes)
            content.combine(runs)
            if inode.format == 1 { content.combine(inode.dataFork.part(0, Int(clamping: inode.size)).hash) }
        }
        if inode.number != geometry.root {
            tree.items.append(.init(id: inode.number, content: content.finalize(), isDoubtful: isDoubtful))
        }
    }

    // MARK: Blocks of an inode

    private struct Run: Hashable {
        var logical: UInt64
        var block: UInt64
        var count: UInt64
        var isUnwritten: Bool
    }

    /// - Returns: whether all of them could be read and make sense.
    private func readRuns(of inode: XFSInode, _ runs: inout [Run]) -> Bool {
        let fork = inode.dataFork
        guard inode.format == 3 else {
            guard inode.extentCount <= fork.count / 16 else { return false }
            return readRecords(fork, count: Int(inode.extentCount), &runs)
        }
        let capacity = (fork.count - 4) / 16
        let count = Int(fork.be16(2))
        guard count > 0, count <= capacity else { return false }
        var isWhole = true
        for index in 0..<count {
            let block = fork.be64(4 + capacity * 8 + index * 8)
            if !readTree(block, level: Int(fork.be16(0)) - 1, &runs) { isWhole = false }
        }
        return isWhole
    }

    private func readTree(_ block: UInt64, level: Int, _ runs: inout [Run]) -> Bool {
        let header = geometry.hasChecksums ? 72 : 24
        guard level >= 0, level < 9, let place = geometry.place(ofBlock: block),
            let bytes = device.read(at: place, count: Int(geometry.blockSize)),
            bytes.be32(0) == (geometry.hasChecksums ? 0x424D_4133 : 0x424D_4150), Int(bytes.be16(4)) == level
        else { return false }
        let count = Int(bytes.be16(6))
        var isWhole = !geometry.hasChecksums || bytes.le32(64) == ~bytes.crc32c(seed: ~0, hole: 64..<68)
        guard level > 0 else {
            let records = bytes.part(header, bytes.count)
            return readRecords(records, count: min(count, records.count / 16), &runs) && isWhole
        }
        let capacity = (bytes.count - header) / 16
        for index in 0..<min(count, capacity) {
            let child = bytes.be64(header + capacity * 8 + index * 8)
            if !readTree(child, level: level - 1, &runs) { isWhole = false }
        }
        return isWhole
    }

    private func readRecords(_ bytes: Bytes, count: Int, _ runs: inout [Run]) -> Bool {
        var isWhole = true
        for index in 0..<count {
            let high = bytes.be64(index * 16)
            let low = bytes.be64(index * 16 + 8)
            let run = Run(
                logical: (high << 1) >> 10, block: (high & 0x1FF) << 43 | low >> 21, count: low & 0x1F_FFFF,
                isUnwritten: high >> 63 == 1)
            guard run.count > 0, geometry.place(ofBlock: run.block) != nil else {
                isWhole = false
                continue
            }
            if let last = runs.last, last.logical + last.count == run.logical, last.block + last.count == run.block,
                last.isUnwritten == run.isUnwritten
            {
                runs[runs.count - 1].count += run.count
            } else {
                runs.append(run)
            }
        }
        return isWhole
    }

    // MARK: Folders

    /// Where the part of a folder begins that only helps to find names, in bytes (XFS_DIR2_LEAF_OFFSET).
    private static let namesEnd: UInt64 = 32 << 30

    private mutating func readFolder(_ inode: XFSInode, _ runs: [Run]) {
        let perBlock = UInt64(geometry.folderBlockSize) / geometry.blockSize
        var pieces: [UInt64: [UInt64]] = [:]
        let end = Self.namesEnd / geometry.blockSize
        for run in runs where run.logical < end {
            for index in 0..<min(run.count, end - run.logical) {
                // Names lie at the front, and no folder has a million of these blocks.
                guard pieces.count < 1 << 20 else { break }
                pieces[(run.logical + index) / perBlock, default: []].append(run.block + index)
            }
        }
        for piece in pieces.sorted(by: { $0.key < $1.key }) {
            var bytes: [UInt8] = []
            let start = piece.value.first.flatMap { geometry.place(ofBlock: $0) }
            for block in piece.value {
                guard let place = geometry.place(ofBlock: block),
                    let read = device.read(at: place, count: Int(geometry.blockSize))
                else { break }
                bytes += read.all
            }
            guard bytes.count == geometry.folderBlockSize else {
                tree.lacksNames = true
                continue
            }
            addNames(Bytes(bytes), in: inode, at: start ?? 0)
        }
    }

    /// XD2B and XD2D, or XDB3 and XDD3 in version 5.
    private mutating func addNames(_ block: Bytes, in inode: XFSInode, at place: UInt64) {
        let magic = block.be32(0)
        let isSingle = magic == 0x5844_3242 || magic == 0x5844_4233
        guard isSingle || magic == 0x5844_3244 || magic == 0x5844_4433 else {
            tree.lacksNames = true
            return
        }
        var isRight =
            !geometry.hasChecksums
            || block.le32(4) == ~block.crc32c(seed: ~0, hole: 4..<8) && block.be64(8) == place / 512
                && block.be64(40) == inode.number
        var end = block.count
        if isSingle {
            let leaves = Int(block.be32(block.count - 8))
            if leaves < block.count / 8 { end -= 8 + leaves * 8 } else { isRight = false }
        }
        let first = tree.names.count
        var offset = geometry.hasChecksums ? 64 : 16
        while offset + 8 <= end {
            if block.be16(offset) == 0xFFFF {
                let length = Int(block.be16(offset + 2))
                guard length >= 8, length % 8 == 0 else {
                    isRight = false
                    break
                }
                offset += length
                continue
            }
            let number = block.be64(offset)
            let length = Int(block.u8(offset + 8))
            let whole = (8 + 1 + length + (geometry.hasFileTypes ? 1 : 0) + 2 + 7) / 8 * 8
            guard length > 0, offset + whole <= end, Int(block.be16(offset + whole - 2)) == offset else {
                isRight = false
                break
            }
            addName(
                block.part(offset + 9, length), of: number, in: inode.number, isDoubtful: false,
                mayBeFolder: mayBeFolder(block.u8(offset + 9 + length)))
            offset += whole
        }
        if !isRight { for index in first..<tree.names.count { tree.names[index].isDoubtful = true } }
        if !isRight { tree.lacksNames = true }
    }

    /// A folder that fits into its inode.
    private mutating func addShortNames(_ inode: XFSInode) {
        let fork = inode.dataFork
        let width = fork.u8(1) > 0 ? 8 : 4
        let count = Int(fork.u8(0)) > 0 ? Int(fork.u8(0)) : Int(fork.u8(1))
        var offset = 2 + width
        for _ in 0..<count {
            let length = Int(fork.u8(offset))
            let whole = 3 + length + (geometry.hasFileTypes ? 1 : 0) + width
            guard length > 0, offset + whole <= fork.count else {
                tree.lacksNames = true
                return
            }
            let place = offset + whole - width
            let number = width == 8 ? fork.be64(place) : UInt64(fork.be32(place))
            addName(
                fork.part(offset + 3, length), of: number, in: inode.number, isDoubtful: !inode.isRight,
                mayBeFolder: mayBeFolder(fork.u8(offset + 3 + length)))
            offset += whole
        }
    }

    /// XFS_DIR3_FT_UNKNOWN and XFS_DIR3_FT_DIR.
    private func mayBeFolder(_ type: UInt8) -> Bool { !geometry.hasFileTypes || [0, 2].contains(type) }

    private mutating func addName(
        _ name: Bytes, of number: UInt64, in folder: UInt64, isDoubtful: Bool, mayBeFolder: Bool
    ) {
        if name.count <= 2, name.all.allSatisfy({ $0 == UInt8(ascii: ".") }) { return }
        guard geometry.place(ofInode: number) != nil else {
            // A number that no file can have: the name's file is lost, unless it is found without a name.
            tree.names.append(.init(folder: folder, name: name.hash, item: ~UInt64(tree.names.count), isDoubtful: true))
            return
        }
        wantInode(number)
        let isLostAndFound = folder == geometry.root && name.all.elementsEqual("lost+found".utf8)
        tree.names.append(
            .init(
                folder: folder, name: name.hash, item: number, isDoubtful: isDoubtful, isLostAndFound: isLostAndFound,
                mayBeFolder: mayBeFolder))
    }
}

/// An inode in use.
private struct XFSInode {
    let number: UInt64
    /// Type and permissions.
    let kind: UInt16
    /// 1: its content is in the inode; 2: extents are; 3: the root of a tree of them is.
    let format: UInt8
    let size: UInt64
    let extentCount: UInt64
    /// Whether its checksum is right, or it has none.
    let isRight: Bool
    /// Stands for the shape of its extended attributes.
    let attributes: Int
    /// What the inode itself holds of the content.
    let dataFork: Bytes

    var isFolder: Bool { kind >> 12 == 0x4 }

    /// "IN".
    static let magic: UInt16 = 0x494E

    /// Whether it is a free inode, or that of a file which was deleted while somebody had it open: nothing names it.
    static func isNobodys(_ raw: Bytes, _ geometry: XFSGeometry) -> Bool {
        guard raw.be16(0) == magic, raw.u8(4) == 1 ? raw.be16(6) == 0 : raw.be32(16) == 0 else { return false }
        return isFree(raw) || !geometry.hasChecksums || hasRightChecksum(raw)
    }

    /// Whether it has no type.
    static func isFree(_ raw: Bytes) -> Bool { raw.be16(2) == 0 }

    private static func hasRightChecksum(_ raw: Bytes) -> Bool {
        raw.le32(100) == ~raw.crc32c(seed: ~0, hole: 100..<104)
    }

    /// - Returns: nil where it is not in use, or is none.
    init?(_ number: UInt64, _ raw: Bytes, _ geometry: XFSGeometry) {
        kind = raw.be16(2)
        let version = raw.u8(4)
        guard raw.be16(0) == Self.magic, [0x1, 0x2, 0x4, 0x6, 0x8, 0xA, 0xC].contains(kind >> 12),
            (1...3).contains(version),
            version == 1 ? raw.be16(6) > 0 : raw.be32(16) > 0 || number == geometry.root
        else { return nil }
        var isRight = true
        if geometry.hasChecksums {
            isRight = Self.hasRightChecksum(raw)
            // What lay there before the filesystem was made, or belongs elsewhere.
            guard isRight || raw.be64(152) == number || raw.part(160, 16).all.elementsEqual(geometry.uuid) else {
                return nil
            }
            if raw.be64(152) != number || !raw.part(160, 16).all.elementsEqual(geometry.uuid) { isRight = false }
        }
        self.number = number
        self.isRight = isRight
        format = raw.u8(5)
        size = raw.be64(56)
        let hasLargeCounts = version == 3 && raw.be64(120) & 0x10 != 0
        extentCount = hasLargeCounts ? raw.be64(24) : UInt64(raw.be32(76))
        let start = version == 3 ? 176 : 100
        let attributeStart = Int(raw.u8(82)) * 8
        dataFork = raw.part(start, attributeStart > 0 ? attributeStart : raw.count)
        var attributes = Hasher()
        attributes.combine(attributeStart)
        attributes.combine(raw.u8(83))
        attributes.combine(hasLargeCounts ? raw.be32(76) : UInt32(raw.be16(80)))
        self.attributes = attributes.finalize()
    }
}
