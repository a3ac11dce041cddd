import Foundation
import Testing

@testable import HostTools
@testable import Repair

extension FuzzTests {
    @Test static func `what qemu-img prints is refused, or planned and reported`() throws {
        let words = [
            #""virtual-size": "#, #""format": "#, #""format-specific": "#, #""data": "#, #""bitmaps": "#,
            #""snapshots": "#,
            #""encrypted": true"#, #""corrupt": true"#, #""full-backing-filename": "#, "{", "}", "[", "]", "[[[[[[[[",
        ]
        try Campaign("QemuImage", words: words).run { input in
            guard let json = try? JSONValue(parsing: String(decoding: input, as: UTF8.self)) else { return }
            _ = try JSONValue(parsing: json.text)
            guard let image = ImageInfo(path: "/nowhere/image", json: json) else { return }
            let plan = Sample.plan(image: image)
            if plan.refusals.isEmpty {
                try require(plan.disks.first.map(\.size) ?? 0 > 0, "an empty disk is attached")
                try require(!image.isEncrypted && !image.isMarkedCorrupt, "\(image) is not refused")
            }
            try reportSurvives([DomainOutcome(plan: plan, outcome: .planned, message: "\(plan.refusals)")])
        }
    }

    /// Expects that a report can be written as JSON, read again, and shown without steering the terminal.
    static func reportSurvives(_ outcomes: [DomainOutcome]) throws {
        let report = Report(
            version: "1", host: "host", connection: "test:///default", startedAt: Date(timeIntervalSince1970: 0),
            finishedAt: Date(timeIntervalSince1970: 1), domains: outcomes)
        let document = try JSONValue(parsing: try report.json())
        try require(document["domains"]?.elements.count == outcomes.count, "a domain is missing in the JSON")
        for verbosity in [TextReport.Verbosity.normal, .verbose] {
            let text = TextReport(report, verbosity: verbosity)
            for scalar in (text.results + text.problems).unicodeScalars where scalar != "\n" {
                let isSteering = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar == "\u{202E}"
                try require(!isSteering, "U+\(String(scalar.value, radix: 16)) reaches the terminal")
            }
        }
    }
}
