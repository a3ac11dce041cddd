import Foundation
import Testing

@testable import HostTools
@testable import Repair

extension FuzzTests {
    @Test static func `a report of any words can be written, read and shown`() throws {
        try Campaign("Report", limit: 1 << 10).run { input in
            let texts = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
                String(decoding: $0, as: UTF8.self)
            }
            func text(_ index: Int) -> String { texts[index % texts.count] }
            var volume = Volume(
                name: text(1), layout: nil, content: .filesystem(type: text(2)), label: text(3), uuid: text(4),
                size: .max, disk: text(5))
            volume.remark = text(4)
            var result = VolumeResult(volume: volume, outcome: .unrepaired, message: text(4))
            result.seconds = Double(input.count)
            result.log = text(0)
            var image = Sample.image(text(3))
            image.virtualSize = .max
            var outcome = DomainOutcome(
                plan: Sample.plan(text(0), target: text(5), image: image), outcome: .failed, message: text(4))
            outcome.take([result])
            outcome.seconds = [StageTime(stage: "check", seconds: 1), StageTime(stage: "check", seconds: 2)]
            outcome.boot = .notStarted(text(1))
            try reportSurvives([outcome, DomainOutcome(name: text(0), outcome: .refused, message: text(1))])
            let recovery = RecoveryReport(
                version: "1", host: text(0), connection: text(1), startedAt: .distantPast, finishedAt: .distantFuture,
                runs: [RecoveryOutcome(name: text(2), outcome: .left, message: text(3))], problem: text(4))
            _ = try JSONValue(parsing: try recovery.json())
        }
    }
}
