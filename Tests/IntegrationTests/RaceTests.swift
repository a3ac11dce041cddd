import Foundation
import TestSupport
import Testing

/// What other people do to a domain while it is repaired. `VIRT_FSCK_FAULTS=full` makes it thousands of attempts.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(180)))
struct RaceTests {
    /// What somebody does, by virsh.
    enum Disturbance: String, CaseIterable, Sendable {
        case startAndDestroy
        case managedSave
        case description
        case memory
        case autostart
        case otherDisk
        case otherTarget
        case undefine
        case undefineAndDefine
        case rename
        case snapshot
        case attachDisk
    }

    private static let attempts = ProcessInfo.processInfo.environment["VIRT_FSCK_FAULTS"] == "full" ? 250 : 3

    @Test(arguments: Disturbance.allCases)
    func `whatever others do to a domain during its repair, its disk is never wrong`(
        _ disturbance: Disturbance
    ) async throws {
        try await Workshop.with { shop in
            var random = SystemRandomNumberGenerator()
            for number in 0..<Self.attempts {
                let race = try await Race(shop, disturbance)
                // A repair takes about a second.
                let delay = Double.random(in: 0...1.5, using: &random)
                do {
                    try await race.run(after: delay)
                } catch {
                    Issue.record("attempt \(number), disturbed after \(delay) s: \(error)")
                }
                try await race.end()
            }
        }
    }
}

/// One repair, one disturbance, and what comes of both.
private struct Race {
    let shop: Workshop
    let disturbance: RaceTests.Disturbance
    let patient: NeverWorse
    let other: String
    let definition: String

    init(_ shop: Workshop, _ disturbance: RaceTests.Disturbance) async throws {
        self.shop = shop
        self.disturbance = disturbance
        patient = try await NeverWorse(shop, image: "\(shop.disks)/disk.img")
        other = "\(shop.disks)/other.img"
        try await patient.reset(other)
        definition = try await shop.xml()
    }

    func run(after delay: Double) async throws {
        async let repairing = shop.virtFsck("repair", "--no-start")
        try await Task.sleep(for: .seconds(delay))
        let disturbed = try await disturb()
        let run = try await repairing
        #expect(run.report != nil, "\(run)")
        // It may run now, or be called otherwise.
        let name = try await name()
        if let name { _ = try await virsh("destroy \(name)") }
        // A domain that is gone, and whose run left nothing, is unknown.
        let selector = patient.journals().isEmpty ? name : name ?? uuid
        let recovery = try await VirtFsck.run(["recover"] + (selector.map { [$0] } ?? ["--help"]))
        let story = "\(disturbed.output)\(disturbed.errorOutput)\n\(run)\n\(recovery)"
        let isSaved = story.contains("managedsave-remove")
        // A snapshot of a domain that is on its overlay stands on the overlay, which must stay then.
        if disturbance == .snapshot, recovery.errorOutput.contains("below another image") {
            #expect(recovery.exitStatus == 8, "\(story)")
            try await expectWholeSnapshot(story)
            return
        }
        if isSaved, let name {
            _ = try await virsh("managedsave-remove \(name)")
            let again = try await VirtFsck.run(["recover", name])
            #expect(again.exitStatus == 0, "\(again)\n\(story)")
        } else {
            #expect(recovery.exitStatus == 0, "\(story)")
        }
        #expect(patient.journals().isEmpty, "\(story)")
        for disk in [patient.image, other] {
            let isRight = try await isRight(disk)
            #expect(isRight, "\(disk) is neither what it was nor repaired: \(story)")
        }
        if run.domain?.committed == true {
            let isRepaired = try await patient.isRepaired()
            let isOtherRepaired = try await patient.isRepaired(other)
            let isSnapshotRepaired = try await isSnapshotRepaired()
            #expect(isRepaired || isOtherRepaired || isSnapshotRepaired, "\(story)")
        }
        if run.exitStatus & 8 != 0 { #expect(run.domain?.message.isEmpty == false, "\(story)") }
        guard let name else { return }
        let xml = try await Tool.output(
            of: "virsh", ["-q", "-c", PrivateLibvirt.shared.uri, "dumpxml", "--inactive", "--security-info", name])
        if isEdit, xml.contains(".virt-fsck-") {
            // It was read while the domain was on its overlay, and defined when that was gone.
            let next = try await VirtFsck.run(["check", name])
            #expect(next.exitStatus == 8, "\(next)\n\(story)")
            #expect(next.errorOutput.contains("Give it its disk back, \(patient.image), with its format"), "\(next)")
            return
        }
        #expect(!xml.contains(".virt-fsck-"), "\(xml)\n\(story)")
        if disturbed.exitStatus == 0, let mark {
            let isKept = xml.contains(mark)
            // An edit between our reading of the XML and our define is lost: libvirt has no way to compare and define.
            withKnownIssue(isIntermittent: true) {
                #expect(isKept, "somebody's \(mark) is lost: \(xml)\n\(story)")
            }
        }
    }

    /// Whether the disk is a snapshot by now, made before the run looked, and what the guest sees of it is repaired.
    private func isSnapshotRepaired() async throws -> Bool {
        let flat = "\(shop.folder)/flat.img"
        let snapshot = "\(shop.disks)/snapshot.qcow2"
        let result = try await Tool.run("qemu-img", ["convert", "-O", "raw", snapshot, flat])
        guard result.exitStatus == 0 else { return false }
        return try await patient.isRepaired(flat)
    }

    /// What the domain would start from is all there, and right.
    private func expectWholeSnapshot(_ story: String) async throws {
        let flat = "\(shop.folder)/flat.img"
        let snapshot = "\(shop.disks)/snapshot.qcow2"
        let result = try await Tool.run("qemu-img", ["convert", "-O", "raw", snapshot, flat])
        #expect(result.exitStatus == 0, "\(result.errorOutput)\n\(story)")
        let isRight = try await isRight(flat)
        #expect(isRight, "\(story)")
        // By hand, as the words say.
        for journal in patient.journals() { try FileManager.default.removeItem(atPath: journal) }
        for file in try FileManager.default.contentsOfDirectory(atPath: shop.disks) where file.contains(".virt-fsck-") {
            try FileManager.default.removeItem(atPath: "\(shop.disks)/\(file)")
        }
    }

    /// Undoes everything.
    func end() async throws {
        for name in [shop.name, "\(shop.name)-renamed"] {
            _ = try await virsh("destroy \(name)")
            _ = try await virsh("undefine \(name) --managed-save --snapshots-metadata")
        }
        let overlays = try FileManager.default.contentsOfDirectory(atPath: shop.disks).filter {
            $0.contains(".virt-fsck-")
        }
        #expect(overlays.isEmpty)
        for overlay in overlays { try FileManager.default.removeItem(atPath: "\(shop.disks)/\(overlay)") }
        for journal in patient.journals() { try FileManager.default.removeItem(atPath: journal) }
    }

    private var uuid: String {
        definition.split(separator: "<uuid>").dropFirst().first?.split(separator: "<").first.map(String.init) ?? ""
    }

    /// The domain's name now; nil where it is undefined.
    private func name() async throws -> String? {
        let names = try await PrivateLibvirt.shared.virsh("list", "--all", "--name").split(separator: "\n").map(
            String.init)
        return names.first { $0 == shop.name } ?? names.first { $0 == "\(shop.name)-renamed" }
    }

    private func isRight(_ disk: String) async throws -> Bool {
        if try await patient.isUntouched(disk) { return true }
        return try await patient.isRepaired(disk)
    }

    private func virsh(_ commands: String) async throws -> ToolResult {
        try await Tool.run("virsh", ["-q", "-c", PrivateLibvirt.shared.uri, commands])
    }

    private func disturb() async throws -> ToolResult {
        let name = shop.name
        switch disturbance {
        case .startAndDestroy: return try await virsh("start \(name); destroy \(name)")
        case .managedSave: return try await virsh("start \(name); managedsave \(name)")
        case .description: return try await virsh("desc \(name) --config --new-desc edited-meanwhile")
        case .memory: return try await virsh("setmaxmem \(name) 49152 --config")
        case .autostart: return try await virsh("autostart \(name)")
        case .otherDisk:
            return try await edit("other.xml") { $0.replacing("'\(shop.disks)/disk.img'", with: "'\(other)'") }
        case .otherTarget: return try await edit("target.xml") { $0.replacing("dev='vda'", with: "dev='vdb'") }
        case .undefine: return try await virsh("undefine \(name)")
        case .undefineAndDefine:
            let file = "\(shop.folder)/same.xml"
            try definition.write(toFile: file, atomically: true, encoding: .utf8)
            return try await virsh("undefine \(name); define \(file)")
        case .rename: return try await virsh("domrename \(name) \(name)-renamed")
        case .snapshot:
            return try await virsh(
                "snapshot-create-as \(name) s --disk-only --diskspec vda,file=\(shop.disks)/snapshot.qcow2")
        case .attachDisk: return try await virsh("attach-disk \(name) \(other) vdc --config --subdriver raw")
        }
    }

    /// What `virsh edit` does: what is there now is changed and defined.
    private func edit(_ file: String, _ change: (String) -> String) async throws -> ToolResult {
        let path = "\(shop.folder)/\(file)"
        try change(try await shop.xml()).write(toFile: path, atomically: true, encoding: .utf8)
        return try await virsh("define \(path)")
    }

    /// Whether it defines what it has read before.
    private var isEdit: Bool {
        switch disturbance {
        case .otherDisk, .otherTarget: true
        default: false
        }
    }

    /// What of the edit must be in the XML in the end.
    private var mark: String? {
        switch disturbance {
        case .description: "edited-meanwhile"
        case .memory: "49152"
        case .attachDisk: "vdc"
        case .otherTarget: "dev='vdb'"
        default: nil
        }
    }
}
