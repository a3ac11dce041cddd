import HostTools

/// Why a guest may not boot although its filesystems are sound, as far as its disks show it. Pure: words, not changes.
///
/// The texts hold names from the guest: escape them before they reach a terminal.
struct Diagnosis: Sendable {
    /// Every volume of the disks that were looked at, with the facts where there are any.
    var volumes: [VolumeResult]
    /// What those disks have for the firmware.
    var disks: [DiskFacts]
    /// How the domain boots.
    var method: BootMethod
    /// Whether it has disks that were not looked at.
    var hasOtherDisks = false

    /// More than a person reads; a guest writes what is counted here.
    private static let limit = 20
    /// Characters of a finding.
    private static let lengthLimit = 300

    /// What was found, most likely cause first.
    var findings: [String] {
        let all = firmware + roots.flatMap(root) + missingRoot + volumes.flatMap(volume)
        let shown = all.prefix(Self.limit).map { $0.count > Self.lengthLimit ? $0.prefix(Self.lengthLimit) + "…" : $0 }
        return all.count > shown.count ? shown + ["and \(all.count - shown.count) more"] : Array(shown)
    }

    /// The volumes that look like a system's root.
    var roots: [(result: VolumeResult, facts: VolumeFacts)] {
        volumes.compactMap { result in result.facts.flatMap { $0.isRoot ? (result, $0) : nil } }
    }

    /// Whether nothing of the domain's disks stayed unseen.
    var isComplete: Bool { !hasOtherDisks && !volumes.contains { $0.volume.mayHoldOthers } }

    private var firmware: [String] {
        guard !hasOtherDisks, !disks.isEmpty, !disks.contains(where: { $0.bootRecord.isEmpty }) else { return [] }
        let names = disks.map(\.target).joined(separator: ", ")
        switch method {
        case .kernel, .other: return []
        case .efi:
            let types = ["c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0xef"]
            // UEFI takes a FAT on a whole disk too.
            let hasPlace =
                disks.contains { disk in types.contains { disk.hasPartition(ofType: $0) } }
                || volumes.contains { $0.volume.type == "vfat" }
            return hasPlace ? [] : ["\(names): no EFI system partition: UEFI firmware finds nothing to boot"]
        case .bios:
            let bootable = disks.filter(\.hasBootCode)
            guard !bootable.isEmpty else {
                return ["\(names): no boot record holds code: a BIOS finds nothing to boot there (no boot loader)"]
            }
            return bootable.flatMap(bootRecord)
        }
    }

    private func bootRecord(of disk: DiskFacts) -> [String] {
        switch disk.table?.kind {
        case .gpt where disk.holds("GRUB") && !disk.hasPartition(ofType: "21686148-6449-6e6f-744e-656564454649"):
            return ["\(disk.target): a GPT without BIOS boot partition: GRUB has no place for its core"]
        case .mbr where !disk.isSelfContained && !disk.hasActivePartition && disks.count == 1:
            return ["\(disk.target): no partition is active, and its boot record looks for one that is"]
        default: return []
        }
    }

    /// What any filesystem tells.
    private func volume(_ result: VolumeResult) -> [String] {
        guard let facts = result.facts else { return [] }
        let name = result.volume.name
        var findings: [String] = []
        if let free = facts.freeBytes, free < min(Self.littleRoom, result.volume.size / 20) {
            let size = ByteCount.words(result.volume.size)
            findings.append("\(name): the filesystem is full: \(ByteCount.words(free)) free of \(size)")
        }
        if facts.freeInodes == 0 { findings.append("\(name): the filesystem is full: it has no free inodes") }
        if facts.lost > 0 {
            let entries = facts.lost == 1 ? "1 entry" : "\(facts.lost) entries"
            findings.append("\(name): lost+found has \(entries): what lost its name, perhaps what is missing elsewhere")
        }
        return findings
    }

    /// Bytes that a guest needs for its logs and locks.
    private static let littleRoom: UInt64 = 1 << 20
}

extension Volume {
    /// Whether there may be volumes in it that nobody here sees.
    fileprivate var mayHoldOthers: Bool {
        switch content {
        case .physicalVolume, .unclear: true
        case .unsupported(let type, _): type.hasSuffix("_member") || type.hasPrefix("crypto_") || uuid == nil
        case .filesystem, .nothingToCheck: false
        }
    }
}

extension Diagnosis {
    /// The diagnosis of a domain; nil where none is needed, or nothing was seen of its disks.
    init?(of outcome: DomainOutcome) {
        guard let boot = outcome.boot, boot.outcome == .failed || boot.outcome == .unknown, let plan = outcome.plan,
            !outcome.disks.isEmpty, let method = try? BootMethod(xml: plan.xml),
            let description = try? DomainDescription(xml: plan.xml)
        else { return nil }
        let seen = Set(plan.attached.map(\.target))
        self.init(
            volumes: outcome.volumes, disks: outcome.disks, method: method,
            hasOtherDisks: description.disks.contains {
                $0.device != .cdrom && $0.device != .floppy && !seen.contains($0.target)
            })
    }
}
