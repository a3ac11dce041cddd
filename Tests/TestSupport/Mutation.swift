import Foundation

/// Damage to the metadata of a filesystem in a plain file, made of random numbers.
public struct Mutation: Sendable, CustomStringConvertible {
    /// What was done, for the words of a failed expectation.
    public private(set) var description = ""

    private enum Kind: CaseIterable {
        case bytes
        case bits
        case zero
        case zeroRun
        case noise
        case copy
    }

    /// Damages a filesystem.
    public init(of path: String, _ filesystem: Filesystem, using generator: inout SeededGenerator) async throws {
        let places = try await Self.metadata(of: path, filesystem)
        var words: [String] = []
        try FileHandle.update(path) { file in
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                guard let area = places.randomElement(using: &generator),
                    let place = area.places.randomElement(using: &generator),
                    let kind = Kind.allCases.randomElement(using: &generator)
                else { return }
                words.append("\(kind) in \(area.name) at \(place)")
                let size = area.size
                switch kind {
                case .bytes, .bits:
                    for _ in 0..<Int.random(in: 1...12, using: &generator) {
                        let offset = place + Int.random(in: 0..<size, using: &generator)
                        let old = try file.bytes(at: offset, count: 1).first ?? 0
                        let new = UInt8.random(in: 0...255, using: &generator)
                        let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &generator)
                        try file.write([kind == .bytes ? new : old ^ bit], at: offset)
                    }
                case .zero: try file.write([UInt8](repeating: 0, count: size), at: place)
                case .zeroRun:
                    for other in area.places where other >= place && other < place + 8 * size {
                        try file.write([UInt8](repeating: 0, count: size), at: other)
                    }
                case .noise:
                    try file.write((0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) }, at: place)
                case .copy:
                    guard let other = area.places.randomElement(using: &generator) else { continue }
                    try file.write(try file.bytes(at: other, count: size), at: place)
                    words[words.count - 1] += " from \(other)"
                }
            }
        }
        description = words.joined(separator: "; ")
    }

    /// Pieces of metadata of one kind.
    private struct Area {
        var name: String
        var size: Int
        var places: [Int]
    }

    private static func metadata(of path: String, _ filesystem: Filesystem) async throws -> [Area] {
        switch filesystem {
        case .ext2, .ext3, .ext4: try await extMetadata(of: path)
        case .xfs: try xfsMetadata(of: path)
        case .vfat: try fatMetadata(of: path)
        }
    }

    private static func extMetadata(of path: String) async throws -> [Area] {
        let text = try await Tool.output(of: "dumpe2fs", [path])
        func numbers(after mark: String) -> [ClosedRange<Int>] {
            text.split(separator: "\n").compactMap { line in
                guard let start = line.firstRange(of: mark)?.upperBound else { return nil }
                let parts = line[start...].prefix { $0.isNumber || $0 == "-" }.split(separator: "-").compactMap {
                    Int($0)
                }
                guard let first = parts.first else { return nil }
                return first...(parts.count > 1 ? parts[1] : first)
            }
        }
        let line = text.split(separator: "\n").first { $0.hasPrefix("Block size:") } ?? ""
        let block = Int(line.split(separator: " ").last ?? "") ?? 1024
        func area(_ name: String, _ ranges: [ClosedRange<Int>]) -> Area {
            Area(name: name, size: block, places: ranges.flatMap { $0.map { $0 * block } })
        }
        let inodeSize = block == 4096 || text.contains("Inode size:\t          256") ? 256 : 128
        let tables = numbers(after: "Inode table at ")
        // Inodes that are used are at the beginning.
        let used = tables.flatMap { range in
            (range.lowerBound * block..<(range.lowerBound + 12) * block).filter { $0 % inodeSize == 0 }
        }
        let paths = [
            "/", "/d1", "/d2", "/d3", "/d3/d4", "/d3/d4/d5", "/big", "/links", "/later", "/later/deep", "/lost+found",
        ]
        var folders: [Int] = []
        for folder in paths {
            let blocks = try await Tool.run("debugfs", ["-c", "-R", "blocks \(folder)", path]).output
            folders += blocks.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }.filter { $0 > 0 }.map {
                $0 * block
            }
        }
        return [
            Area(name: "superblock", size: 1024, places: [1024]),
            area("descriptors", numbers(after: "Group descriptors at ")),
            area("block map", numbers(after: "Block bitmap at ")),
            area("inode map", numbers(after: "Inode bitmap at ")),
            area("inode table", tables.map { $0.lowerBound...min($0.upperBound, $0.lowerBound + 16) }),
            Area(name: "inode", size: inodeSize, places: used), Area(name: "inode", size: inodeSize, places: used),
            Area(name: "folder", size: block, places: folders), Area(name: "folder", size: block, places: folders),
        ].filter { !$0.places.isEmpty }
    }

    private static func xfsMetadata(of path: String) throws -> [Area] {
        let data = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped)
        let names: [(name: String, magics: [String])] = [
            ("superblock", ["XFSB"]), ("AGF", ["XAGF"]), ("AGI", ["XAGI"]), ("AGFL", ["XAFL"]),
            ("inode tree", ["IAB3", "IABT", "FIB3", "FIBT"]),
            ("space tree", ["AB3B", "AB3C", "ABTB", "ABTC", "RMB3", "R3FC"]),
            ("folder", ["XDB3", "XDD3", "XD2B", "XD2D"]), ("extent tree", ["BMA3", "BMAP"]),
        ]
        var found: [String: [Int]] = [:]
        for place in stride(from: 0, to: data.count - 512, by: 512) {
            let start = data.startIndex + place
            if data[start] == 0x49, data[start + 1] == 0x4E { found["inode", default: []].append(place) }
            let magic = String(decoding: data[start..<start + 4], as: UTF8.self)
            for kind in names where kind.magics.contains(magic) { found[kind.name, default: []].append(place) }
        }
        var areas = found.sorted { $0.key < $1.key }.map { Area(name: $0.key, size: 512, places: $0.value) }
        let inodes = areas.filter { $0.name == "inode" }
        areas += inodes
        areas += inodes.map { Area(name: "inodes", size: 4096, places: $0.places.filter { $0 % 4096 == 0 }) }
        areas += areas.filter { $0.name == "folder" }.map { Area(name: "folder", size: 4096, places: $0.places) }
        return areas.filter { !$0.places.isEmpty }
    }

    private static func fatMetadata(of path: String) throws -> [Area] {
        let data = try Data(contentsOf: URL(filePath: path), options: .alwaysMapped)
        func number(_ offset: Int, _ count: Int) -> Int {
            (0..<count).reversed().reduce(0) { $0 << 8 | Int(data[offset + $1]) }
        }
        let sector = number(11, 2)
        let reserved = number(14, 2)
        let tables = number(16, 1)
        let length = number(22, 2) != 0 ? number(22, 2) : number(36, 4)
        let rootStart = (reserved + tables * length) * sector
        let rootLength = number(17, 2) * 32
        let dataStart = rootStart + (rootLength + sector - 1) / sector * sector
        let cluster = number(13, 1) * sector
        func sectors(_ range: Range<Int>) -> [Int] {
            stride(from: range.lowerBound, to: range.upperBound, by: sector).map { $0 }
        }
        func used(_ places: [Int]) -> [Int] {
            places.filter { place in !data[place..<place + sector].allSatisfy { $0 == 0 } }
        }
        var folders = rootLength > 0 ? used(sectors(rootStart..<dataStart)) : [dataStart]
        for place in stride(from: dataStart, to: data.count - cluster, by: cluster)
        where data[place..<place + 11].elementsEqual(".          ".utf8) {
            folders += used(sectors(place..<place + cluster))
        }
        return [
            Area(name: "boot sector", size: sector, places: [0]),
            Area(name: "table", size: sector, places: used(sectors(reserved * sector..<(reserved + length) * sector))),
            Area(name: "tables", size: sector, places: used(sectors(reserved * sector..<rootStart))),
            Area(name: "folder", size: sector, places: folders),
            Area(
                name: "name", size: 32, places: folders.flatMap { place in (0..<sector / 32).map { place + $0 * 32 } }),
        ].filter { !$0.places.isEmpty }
    }
}
