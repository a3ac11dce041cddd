import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

@testable import Repair

/// A journal's folder of one test.
private struct Shelf: ~Copyable {
    let folder = FileManager.default.temporaryDirectory.path + "/journal-\(UUID().uuidString)"
    let header = Shelf.header()

    static func header(run: String = "0123456789ab", format: Int = JournalHeader.format) -> JournalHeader {
        JournalHeader(
            format: format, run: run, machine: Files.machineID, connection: "qemu:///system", domain: "web",
            uuid: Sample.uuid, startedAt: "20260131T235959Z", log: "/var/log/virt-fsck/web",
            overlays: [
                JournalHeader.Overlay(
                    target: "vda", disk: "/images/web.qcow2",
                    overlay: "/images/web.qcow2.virt-fsck-\(run)-vda.qcow2")
            ])
    }

    static func pointing(overlay: String = "/images/web.qcow2.virt-fsck-0123456789ab-vda.qcow2") throws -> Pointing {
        let disk = try FileAttributes(of: "/etc/passwd")
        return Pointing(
            substitutions: [
                DomainXMLEdit.Substitution(
                    target: "vda", disk: "/images/web.qcow2", overlay: overlay, chain: [Sample.image()])
            ],
            disks: ["vda": Pointing.DiskMark(inode: 1, size: 2, modified: 3, attributes: disk)], xml: "<domain/>")
    }

    var path: String { Journal.path(of: Sample.uuid, in: folder) }

    func record() throws -> JournalRecord? { try JournalRecord.find(Sample.uuid, in: folder) }

    func complaint() -> String? {
        do {
            _ = try record()
            return nil
        } catch {
            return String(describing: error)
        }
    }

    func write(_ text: [UInt8]) throws { try Data(text).write(to: URL(filePath: path)) }

    deinit {
        try? FileManager.default.removeItem(atPath: folder)
    }
}

/// The text of some entries, each with its checksum.
private func text(_ entries: [JournalEntry]) throws -> [UInt8] {
    var sum: UInt32 = 0
    return try entries.flatMap { entry in
        let line = try JournalText.line(entry, after: sum)
        sum = line.sum
        return line.text
    }
}

@Suite(.enabled(if: Files.isRoot, "journals are root's"))
struct JournalTests {
    @Test func `the checksum is that of zlib`() {
        #expect(Checksum.of("123456789".utf8) == 0xCBF4_3926)
        #expect(Checksum.of("6789".utf8, after: Checksum.of("12345".utf8)) == 0xCBF4_3926)
    }

    @Test func `what a run writes is what its recovery reads`() throws {
        let shelf = Shelf()
        let journal = try Journal.begin(shelf.header, in: shelf.folder)
        #expect(try shelf.record()?.progress == .begun)
        #expect(try shelf.record()?.header == shelf.header)
        #expect(!journal.isOpenEnded)
        let pointing = try Shelf.pointing()
        try journal.append(.point(pointing))
        #expect(journal.isOpenEnded)
        #expect(try shelf.record()?.pointing == pointing)
        #expect(try shelf.record()?.progress == .pointed)
        try journal.append(.merge)
        #expect(try shelf.record()?.progress == .merging)
        try journal.append(.merged)
        #expect(try shelf.record()?.progress == .merged)
        try journal.end()
        #expect(try shelf.record() == nil)
        #expect(Files.entries(of: shelf.folder).isEmpty)
    }

    @Test func `a journal is for root's eyes only: it holds the domain's passwords`() throws {
        let shelf = Shelf()
        _ = try Journal.begin(shelf.header, in: shelf.folder)
        #expect(try FileStatus(of: shelf.path).mode == 0o600)
        #expect(try FileStatus(of: shelf.folder).mode == 0o700)
    }

    @Test func `a recovery goes on where the run was interrupted`() throws {
        let shelf = Shelf()
        do {
            let journal = try Journal.begin(shelf.header, in: shelf.folder)
            try journal.append(.point(try Shelf.pointing()))
        }
        let journal = try Journal.resume(try #require(try shelf.record()))
        #expect(journal.isOpenEnded)
        #expect(!journal.hasMerged)
        try journal.append(.merge)
        #expect(try shelf.record()?.progress == .merging)
        #expect(journal.hasMerged)
    }

    @Test func `a step whose line a power cut tore was not begun`() throws {
        let shelf = Shelf()
        _ = try Journal.begin(shelf.header, in: shelf.folder)
        let whole = try text([.begin(shelf.header), .point(try Shelf.pointing())])
        let first = try text([.begin(shelf.header)]).count
        for length in stride(from: first, to: whole.count, by: 41) {
            try shelf.write(Array(whole[..<length]))
            #expect(try shelf.record()?.progress == .begun)
            // As XFS leaves it: the length is there, the content is not.
            try shelf.write(Array(whole[..<length]) + [UInt8](repeating: 0, count: whole.count - length))
            #expect(try shelf.record()?.progress == .begun)
        }
        let journal = try Journal.resume(try #require(try shelf.record()))
        try journal.append(.point(try Shelf.pointing()))
        #expect(try shelf.record()?.progress == .pointed)
    }

    @Test func `a journal that was edited is reported, not obeyed`() throws {
        let shelf = Shelf()
        _ = try Journal.begin(shelf.header, in: shelf.folder)
        let whole = try text([.begin(shelf.header), .point(try Shelf.pointing()), .merge])
        let lastLine = try text([.begin(shelf.header), .point(try Shelf.pointing())]).count
        for position in stride(from: 0, to: lastLine, by: 31) {
            var edited = whole
            edited[position] ^= 1
            try shelf.write(edited)
            #expect(throws: DomainProblem.self) { try shelf.record() }
        }
        try shelf.write(whole)
        #expect(try shelf.record()?.progress == .merging)
    }

    @Test func `a line that was left out is noticed`() throws {
        let shelf = Shelf()
        _ = try Journal.begin(shelf.header, in: shelf.folder)
        let lines = try text([.begin(shelf.header), .point(try Shelf.pointing()), .merge, .merged])
            .split(separator: UInt8(ascii: "\n")).map { Array($0) + [UInt8(ascii: "\n")] }
        try shelf.write(lines[0] + lines[2] + lines[3])
        #expect(shelf.complaint()?.contains("line 2 is damaged, or was edited") ?? false)
    }

    @Test func `a newer journal names its version`() throws {
        let shelf = Shelf()
        _ = try Journal.begin(Shelf.header(format: 2), in: shelf.folder)
        #expect(shelf.complaint()?.contains("a newer virt-fsck wrote it (journal format 2, this one knows 1)") ?? false)
    }

    @Test func `a newer journal with fields that we don't know names its version too`() throws {
        let shelf = Shelf()
        _ = try Journal.begin(shelf.header, in: shelf.folder)
        let json = Array(#"{"begin":{"_0":{"format":7,"what":[]}}}"#.utf8)
        let sum = String(Checksum.of(json), radix: 16)
        try shelf.write(Array("\(String(repeating: "0", count: 8 - sum.count))\(sum) ".utf8) + json + [10])
        #expect(shelf.complaint()?.contains("journal format 7") ?? false)
    }

    @Test func `a journal from another machine is not obeyed`() throws {
        let shelf = Shelf()
        var header = shelf.header
        header.machine = "another"
        _ = try Journal.begin(header, in: shelf.folder)
        #expect(shelf.complaint()?.contains("it is from another machine (machine id another)") ?? false)
    }

    @Test(arguments: ["/etc/passwd", "/images/web.qcow2", "/images/web.qcow2.virt-fsck-ba9876543210-vda.qcow2", "x"])
    func `a journal can't name a file as its overlay that no run would call so`(path: String) throws {
        let shelf = Shelf()
        var header = shelf.header
        header.overlays[0].overlay = path
        _ = try Journal.begin(header, in: shelf.folder)
        #expect(shelf.complaint()?.contains("\(path) is no overlay of its run") ?? false)
    }

    @Test(arguments: ["", "0123456789AB", "../../../etc", "0123456789ab0", "x123456789ab"])
    func `a journal can't name a run that no run is called`(run: String) throws {
        let shelf = Shelf()
        _ = try Journal.begin(Shelf.header(run: run), in: shelf.folder)
        #expect(shelf.complaint()?.contains("it is not what its name says") ?? false)
    }

    @Test func `a step that points at another run's overlay is not obeyed`() throws {
        let shelf = Shelf()
        let journal = try Journal.begin(shelf.header, in: shelf.folder)
        try journal.append(.point(try Shelf.pointing(overlay: "/images/other.qcow2")))
        #expect(shelf.complaint()?.contains("it points at an overlay that is not of its run") ?? false)
    }

    @Test(arguments: [[JournalEntry.merge], [.merged], [.takeBack], [.pivot(.ours)]])
    func `steps in an order that no run has are not obeyed`(steps: [JournalEntry]) throws {
        let shelf = Shelf()
        let journal = try Journal.begin(shelf.header, in: shelf.folder)
        for step in steps { try journal.append(step) }
        #expect(shelf.complaint()?.contains("its steps are in an order that no run has") ?? false)
    }

    @Test func `a file that others may write to is no journal`() throws {
        let shelf = Shelf()
        _ = try Journal.begin(shelf.header, in: shelf.folder)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: shelf.path)
        #expect(shelf.complaint()?.contains("it is not a file of root's alone") ?? false)
        try FileManager.default.removeItem(atPath: shelf.path)
        try FileManager.default.createSymbolicLink(atPath: shelf.path, withDestinationPath: "/etc/machine-id")
        #expect(shelf.complaint()?.contains("it is not a file of root's alone") ?? false)
    }

    @Test func `where no journal can be written nothing is begun`() throws {
        let shelf = Shelf()
        #expect {
            try Journal.begin(shelf.header, in: "/proc/journal")
        } throws: { error in
            String(describing: error).hasPrefix("/proc/journal: the journal can't be written: ")
        }
    }

    @Test func `on a full filesystem the steps before stay readable`() throws {
        let shelf = Shelf()
        let folder = "\(shelf.folder)/full"
        try Files.makeFolder(folder)
        let mount = try Tmpfs(at: folder, bytes: 16384)
        defer { mount.remove() }
        let journal = try Journal.begin(shelf.header, in: folder)
        var pointing = try Shelf.pointing()
        pointing.xml = String(repeating: "x", count: 100_000)
        #expect(throws: DomainProblem.self) { try journal.append(.point(pointing)) }
        #expect(try JournalRecord.find(Sample.uuid, in: folder)?.progress == .begun)
        #expect(!journal.isOpenEnded)
    }
}

/// A filesystem that is soon full.
private struct Tmpfs {
    let path: String

    init(at path: String, bytes: Int) throws {
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(bytes)") == 0 else { throw Errno(rawValue: errno) }
        self.path = path
    }

    func remove() { umount2(path, 0) }
}
