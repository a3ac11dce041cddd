import Testing

@testable import Repair

struct ByteRangesTests {
    @Test(
        arguments: [
            ([0..<10], [], [0..<10]), ([0..<10], [0..<10], []), ([0..<10], [3..<5], [0..<3, 5..<10]),
            ([0..<10, 20..<30], [5..<25], [0..<5, 25..<30]),
            ([20..<30, 0..<10], [8..<9, 1..<2], [0..<1, 2..<8, 9..<10, 20..<30]),
            ([0..<10], [10..<20, 4..<4], [0..<10]), ([5..<10], [0..<7, 6..<8], [8..<10]), ([], [1..<2], []),
        ] as [([Range<UInt64>], [Range<UInt64>], [Range<UInt64>])])
    func `the difference of ranges is what is in none of the others`(
        ranges: [Range<UInt64>], others: [Range<UInt64>], expected: [Range<UInt64>]
    ) {
        #expect(ByteRanges.difference(ranges, others) == expected)
    }

    @Test func `the places of a striped volume are those of all its stripes`() {
        let layout = Layout(pieces: [
            Layout.Piece(
                length: 100, stripes: [Layout.Extent(disk: "vda", offset: 10), Layout.Extent(disk: "vdb", offset: 20)],
                chunk: 25),
            Layout.Piece(Layout.Extent(disk: "vda", offset: 500), length: 7),
        ])
        #expect(layout.places.map(\.disk) == ["vda", "vdb", "vda"])
        #expect(layout.places.map(\.range) == [10..<60, 20..<70, 500..<507])
    }
}
