/// Numbers that follow from a seed (SplitMix64), so that what was found once comes back.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// The numbers of one iteration: each has its own, so that one can be repeated without those before it.
    init(seed: UInt64, iteration: UInt64) {
        state = seed &+ iteration &* 0xD1B5_4A32_D192_ED03
        _ = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Makes inputs of a corpus: a few changes to one of them, or two of them joined.
struct Mutator {
    let corpus: [[UInt8]]
    /// What stands in such inputs, beside the numbers and bytes that every target gets.
    let words: [[UInt8]]
    /// Bytes of the largest input.
    let limit: Int

    /// An input of its own.
    func input(from generator: inout SeededGenerator) -> [UInt8] {
        var input = corpus.randomElement(using: &generator) ?? []
        // Few changes leave most of the input's meaning, many reach what only stands together.
        for _ in 0..<(1 << Int.random(in: 0...4, using: &generator)) {
            change(&input, &generator)
        }
        return Array(input.prefix(limit))
    }

    private func change(_ input: inout [UInt8], _ generator: inout SeededGenerator) {
        let place = Int.random(in: 0...input.count, using: &generator)
        let length = min(input.count - place, 1 << Int.random(in: 0...10, using: &generator))
        switch Int.random(in: 0..<11, using: &generator) {
        case 0 where place < input.count:
            input[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1 where place < input.count:
            input[place] = Self.bytes.randomElement(using: &generator) ?? 0
        case 2:
            input.insert(contentsOf: word(&generator), at: place)
        case 3:
            let word = word(&generator)
            input.replaceSubrange(place..<min(input.count, place + word.count), with: word)
        case 4:
            input.removeSubrange(place..<(place + length))
        case 5:
            let part = Array(input[place..<(place + length)])
            let times = Int.random(in: 1...8, using: &generator)
            for _ in 0..<times where input.count < limit { input.insert(contentsOf: part, at: place) }
        case 6:
            input.removeSubrange(place...)
        case 7:
            let other = corpus.randomElement(using: &generator) ?? []
            input.replaceSubrange(place..., with: other.dropFirst(Int.random(in: 0...other.count, using: &generator)))
        case 8:
            replaceNumber(&input, from: place, &generator)
        case 9:
            let other = corpus.randomElement(using: &generator) ?? []
            let start = Int.random(in: 0...other.count, using: &generator)
            input.insert(contentsOf: other[start..<min(other.count, start + max(length, 1))], at: place)
        default:
            let value = Self.numbers.randomElement(using: &generator) ?? 0
            let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 1
            let bytes = (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
            input.replaceSubrange(place..<min(input.count, place + width), with: bytes)
        }
    }

    private func word(_ generator: inout SeededGenerator) -> [UInt8] {
        guard Bool.random(using: &generator), let word = words.randomElement(using: &generator) else {
            return Self.words.randomElement(using: &generator) ?? []
        }
        return word
    }

    /// Puts another number in the place of the next one in decimal digits.
    private func replaceNumber(_ input: inout [UInt8], from place: Int, _ generator: inout SeededGenerator) {
        guard let first = input[place...].firstIndex(where: Self.isDigit) else { return }
        let end = input[first...].firstIndex { !Self.isDigit($0) } ?? input.endIndex
        let old = UInt64(String(decoding: input[first..<end], as: UTF8.self)) ?? 0
        let new =
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: old &+ UInt64.random(in: 0...2, using: &generator) &- 1
            case 1: old << UInt64.random(in: 1...12, using: &generator)
            case 2: old >> UInt64.random(in: 1...12, using: &generator)
            default: Self.numbers.randomElement(using: &generator) ?? 0
            }
        let sign = Int.random(in: 0..<16, using: &generator) == 0 ? "-" : ""
        input.replaceSubrange(first..<end, with: (sign + String(new)).utf8)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Numbers at which something ends: of a type, a sector, an extent.
    private static let numbers: [UInt64] = {
        let powers: [UInt64] = [8, 9, 12, 16, 20, 22, 31, 32, 53, 63].map { (power: UInt64) -> UInt64 in 1 << power }
        let around = powers.flatMap { (power: UInt64) -> [UInt64] in [power - 1, power, power + 1] }
        let largest: [UInt64] = [UInt64.max, UInt64.max - 1, UInt64.max - 511, UInt64.max / 512, UInt64.max / 4096 + 1]
        return [0, 1] + around + largest
    }()

    private static let bytes: [UInt8] = [0, 1, 9, 10, 13, 27, 32, 34, 39, 40, 44, 47, 60, 92, 127, 128, 192, 237, 255]

    private static let words: [[UInt8]] = {
        let texts = [
            "-1", "1e999", "-0", "0.5", "null", "\\u0000", "\\ud800", "\0", "\u{1b}[2J", "\u{301}", "\u{202e}",
        ]
        let noText: [[UInt8]] = [
            [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xEF, 0xBB, 0xBF],
        ]
        return (numbers.map { String($0) } + texts).map { Array($0.utf8) } + noText
    }()
}
