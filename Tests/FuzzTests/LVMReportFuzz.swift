import Foundation
import Testing

@testable import HostTools
@testable import Repair

extension FuzzTests {
    private static let mib: UInt64 = 1 << 20

    /// What LVM was shown: a partition, and a whole disk.
    private static let members = [
        "/dev/loop2": Volume(
            name: "vda1", layout: Layout(disk: "vda", offset: mib, length: 64 * mib), content: .physicalVolume,
            size: 64 * mib, disk: "vda"),
        "/dev/loop3": Volume(
            name: "vdb", layout: Layout(disk: "vdb", offset: 0, length: 64 * mib), content: .physicalVolume,
            size: 64 * mib, disk: "vdb"),
    ]

    @Test static func `what lvm prints is refused, or its volumes lie inside their physical volumes, apart`() throws {
        let words = [
            #""devices":"/dev/loop2(0)""#, "/dev/loop3(1)", "[unknown](0)", #""segtype":"striped""#,
            #""segtype":"linear""#,
            #""stripe_size":"65536""#, #""lv_layout":"thin,pool""#, #""lv_role":"private""#, #""pv_missing":"missing""#,
            #""report":"#, #""seg":"#, #""lv":"#, "{", "}", "[", "]", "(", ")", ",", "\\", "\"",
        ]
        let numbers = [DeviceNumber(major: 7, minor: 2): "/dev/loop2", DeviceNumber(major: 7, minor: 3): "/dev/loop3"]
        let devices = members.keys.sorted()
        try Campaign("LVMReport", words: words).run { input in
            let text = String(decoding: input, as: UTF8.self)
            guard var report = try? LVMReport(parsing: text, devices: devices, numbers: numbers) else { return }
            // A clone, now and then.
            report.account(for: devices) { $0 == "/dev/loop3" && input.count % 4 == 0 ? "p" : nil }
            _ = try JSONEncoder().encode(report)
            let found = LogicalVolumes(report: report, members: members)
            try expectPlaces(of: found.volumes)
            var outcome = DomainOutcome(plan: Sample.plan(image: Sample.image("/x")), outcome: .failed)
            outcome.take(found.volumes.map { VolumeResult(volume: $0, outcome: .notChecked) })
            try reportSurvives([outcome])
        }
    }

    private static func expectPlaces(of volumes: [Volume]) throws {
        var taken: [String: [(range: Range<UInt64>, volume: String)]] = [:]
        for volume in volumes {
            guard let layout = volume.layout else { continue }
            try require(layout.length == volume.size, "\(volume.name) has \(layout.length) bytes of \(volume.size)")
            for piece in layout.pieces {
                let count = UInt64(piece.stripes.count)
                try require(count > 0 && piece.length % count == 0, "\(piece) can't be divided")
                let length = piece.length / count
                for stripe in piece.stripes {
                    guard let region = members.values.first(where: { $0.disk == stripe.disk })?.layout,
                        let start = region.singleExtent?.offset
                    else { throw Violation("\(stripe.disk) is no disk") }
                    try require(
                        stripe.offset >= start && stripe.offset - start <= region.length
                            && length <= region.length - (stripe.offset - start),
                        "\(volume.name) reaches out of \(region): \(piece)")
                    // Everything below counts in sectors.
                    try require(
                        stripe.offset % 512 == 0 && length % 512 == 0 && piece.chunk % 512 == 0,
                        "\(volume.name) is not in whole sectors: \(piece)")
                    taken[stripe.disk, default: []].append((stripe.offset..<(stripe.offset + length), volume.name))
                }
            }
            guard let runs = layout.runs(limit: 12_000) else { continue }
            try require(
                runs.reduce(0) { $0 + $1.length } == layout.length, "\(volume.name): its runs are not all of it")
        }
        for places in taken.values {
            let sorted = places.sorted { $0.range.lowerBound < $1.range.lowerBound }
            for (one, other) in zip(sorted, sorted.dropFirst()) {
                try require(
                    one.range.upperBound <= other.range.lowerBound,
                    "\(one.volume) and \(other.volume) share bytes: a repair of one would break the other")
            }
        }
    }
}
