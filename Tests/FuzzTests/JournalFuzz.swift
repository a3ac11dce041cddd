import Foundation
import HostTools
import Testing

@testable import Repair

extension FuzzTests {
    private static let steps = [
        #"{"merge":{}}"#, #"{"merged":{}}"#, #"{"takeBack":{}}"#, #"{"pivot":{"_0":"ours"}}"#, #"{"begin":{"_0":"#,
        #"{"point":{"_0":"#, "\n", #""run":"0123456789ab""#, "../", "/", ".virt-fsck-0123456789ab-vda.qcow2",
        #""format":2"#,
        "vda", "vdb",
    ]

    @Test static func `a changed journal is refused, or read as the beginning of what was written`() throws {
        let campaign = Campaign("Journal", words: steps)
        let originals = try campaign.corpus.map { sealed($0.content) }
        let written = originals.compactMap { try? JournalText.entries(of: $0).entries }
        try campaign.run(from: originals) { input in
            guard let read = try? JournalText.entries(of: input) else { return }
            try require(written.contains { $0.starts(with: read.entries) }, "nobody wrote: \(read.entries)")
            try require(read.length <= input.count, "it has \(read.length) of \(input.count) bytes")
        }
    }

    @Test(.enabled(if: Files.isRoot, "journals are root's"))
    static func `a forged journal is refused, or names nothing but overlays of its own run`() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/fuzz-journal-\(UUID().uuidString)"
        try Files.makeFolder(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = Journal.path(of: Sample.uuid, in: folder)
        try Files.create(path)
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? file.close() }
        try Campaign("ForgedJournal", corpus: "Journal", words: steps).run { input in
            try file.truncate(atOffset: 0)
            try file.write(contentsOf: Data(sealed(input)))
            guard let record = try? JournalRecord(path: path) else { return }
            try require(RunFolders.isRunName(record.header.run), "\(record.header.run) names no run")
            let overlays = record.header.overlays.map(\.overlay)
            for overlay in overlays {
                try require(
                    overlay.hasPrefix("/") && OverlayName.isOurs(overlay) && overlay.contains(record.header.run),
                    "\(overlay) would be deleted")
            }
            try require((record.pointing == nil) == (record.progress == .begun), "\(record.progress)")
            guard let pointing = record.pointing else { return }
            for substitution in pointing.substitutions {
                try require(overlays.contains(substitution.overlay), "\(substitution.overlay) would be merged")
            }
            _ = try? DomainXMLEdit.pointBack(pointing.xml, to: pointing.xml, pointing.substitutions)
            var sum: UInt32 = 0
            (_, sum) = try JournalText.line(.point(pointing), after: sum)
        }
    }

    /// Gives each line its checksum, and the machine's id.
    private static func sealed(_ text: [UInt8]) -> [UInt8] {
        var sum: UInt32 = 0
        var sealed: [UInt8] = []
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let json = Array(
                String(decoding: line, as: UTF8.self).replacingOccurrences(of: "@MACHINE@", with: Files.machineID).utf8)
            sum = Checksum.of(json, after: sum)
            let digits = String(sum, radix: 16)
            sealed += Array((String(repeating: "0", count: 8 - digits.count) + digits + " ").utf8) + json
            sealed.append(UInt8(ascii: "\n"))
        }
        return sealed
    }
}
