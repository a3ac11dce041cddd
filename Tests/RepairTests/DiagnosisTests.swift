import HostTools
import Testing

@testable import Repair

/// A guest that lacks nothing, and what is said when it lacks one thing.
struct DiagnosisTests {
    private static let root = Self.facts(
        "etc", "usr", "lost+found",
        boot: .present(["vmlinuz-6.1", "initrd.img-6.1", "grub"].map { Self.entry($0) }),
        fstab: """
            UUID=aaaa / ext4 errors=remount-ro 0 1
            LABEL=home /home ext4 defaults 0 2
            /dev/mapper/data-my--lv /srv ext4 defaults 0 2
            PARTUUID=0001-01 /mnt ext4 defaults 0 2
            UUID=FFFF /old ext4 noauto 0 2
            UUID=bbbb none swap sw 0 0
            """)

    private static func entry(_ name: String, isEmptyFile: Bool = false) -> VolumeFacts.Entry {
        VolumeFacts.Entry(name: name, isEmptyFile: isEmptyFile)
    }

    private static func facts(
        _ names: String..., boot: VolumeFacts.Presence<[VolumeFacts.Entry]>? = nil, fstab: String
    ) -> VolumeFacts {
        VolumeFacts(
            freeBytes: 8 << 20, freeInodes: 100, root: names.map { entry($0) }, boot: boot, lost: 0,
            initialProcess: .present(true), fstab: .present(fstab))
    }

    private static func result(
        _ name: String, uuid: String? = nil, label: String? = nil, facts: VolumeFacts? = nil
    ) -> VolumeResult {
        var result = Sample.result(name, .clean)
        result.volume.uuid = uuid
        result.volume.label = label
        result.facts = facts
        return result
    }

    /// A boot record with some code in it, and the first partition active.
    private static func record(_ code: String = "GRUB", isActive: Bool = true) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 512)
        bytes.replaceSubrange(0..<code.utf8.count, with: code.utf8)
        if isActive { bytes[446] = 0x80 }
        bytes[510] = 0x55
        bytes[511] = 0xAA
        return bytes
    }

    private static func table(_ kind: PartitionTable.Kind, types: String...) -> PartitionTable {
        PartitionTable(
            kind: kind, type: kind == .gpt ? "gpt" : "dos",
            partitions: types.enumerated().map { index, type in
                Partition(
                    number: index + 1, start: 1 << 20, size: 1 << 24, type: type, uuid: "0001-0\(index + 1)")
            })
    }

    private static func disk(_ record: [UInt8] = record(), _ table: PartitionTable = table(.mbr, types: "0x83"))
        -> DiskFacts
    {
        DiskFacts(target: "vda", bootRecord: record, table: table)
    }

    private static let swap: VolumeResult = {
        var swap = result("vda2", uuid: "bbbb")
        swap.volume.content = .nothingToCheck(type: "swap", why: "swap space")
        swap.outcome = .skipped
        return swap
    }()

    private static let others = [
        swap, result("vda3", uuid: "cccc", label: "home"), result("data/my-lv", uuid: "dddd"),
    ]

    private static func diagnosis(_ change: (inout VolumeFacts) -> Void = { _ in }) -> Diagnosis {
        var facts = root
        change(&facts)
        return Diagnosis(volumes: [result("vda1", uuid: "aaaa", facts: facts)] + others, disks: [disk()], method: .bios)
    }

    @Test func `a guest that lacks nothing gets no words`() {
        #expect(Self.diagnosis().findings == [])
    }

    /// What is taken from the guest, and what is said then.
    struct Lack: Sendable {
        var findings: [String]
        var change: @Sendable (inout VolumeFacts) -> Void

        init(_ findings: String..., change: @Sendable @escaping (inout VolumeFacts) -> Void) {
            self.findings = findings
            self.change = change
        }
    }

    @Test(arguments: [
        Lack("vda1: /boot has no kernel (vmlinuz-…)", noLoader) { $0.boot = .missing },
        Lack("vda1: /boot has no kernel (vmlinuz-…)") {
            $0.boot = .present([entry("initrd.img-6.1"), entry("grub")])
        },
        Lack("vda1: /boot has a kernel, but no initrd (initrd.img-…, initramfs-…)") {
            $0.boot = .present([entry("vmlinuz-6.1"), entry("grub2")])
        },
        Lack("vda1: vmlinuz-6.1 in /boot is empty") {
            $0.boot = .present([
                entry("vmlinuz-6.1", isEmptyFile: true), entry("initramfs-6.1.img"), entry("grub"),
            ])
        },
        Lack(noLoader) { $0.boot = .present([entry("vmlinuz-6.1"), entry("initramfs-6.1.img")]) },
        Lack { $0.boot = .present([entry("0123456789abcdef0123456789abcdef")]) },
        Lack { $0.boot = nil },
        Lack("vda1: /sbin/init is missing") { $0.initialProcess = .missing },
        Lack { $0.initialProcess = nil },
        Lack("vda1: has no /etc/fstab") { $0.fstab = .missing },
        Lack("vda1: the filesystem is full: 0 B free of 16.0 MiB") { $0.freeBytes = 0 },
        Lack { $0.freeBytes = 1 << 20 },
        Lack("vda1: the filesystem is full: it has no free inodes") { $0.freeInodes = 0 },
        Lack("vda1: lost+found has 2 entries: what lost its name, perhaps what is missing elsewhere") { $0.lost = 2 },
        Lack {
            $0.root.append(entry("ostree"))
            $0.boot = .missing
            $0.initialProcess = .missing
        },
    ]) func `what is missing is said`(_ lack: Lack) {
        #expect(Self.diagnosis(lack.change).findings == lack.findings)
    }

    private static let noLoader = "vda1: /boot has no boot loader's files (grub, grub2, extlinux, syslinux)"

    @Test(
        arguments: [
            ("UUID=AAAA / ext4", nil), ("UUID=1234 /var ext4", "UUID=1234 for /var"),
            ("UUID=1234 none swap sw", "UUID=1234 for swap"), ("UUID=1234 /var ext4 defaults,nofail", nil),
            ("LABEL=Home /home ext4", "LABEL=Home for /home"), ("/dev/data/my-lv /srv ext4", nil),
            ("/dev/data/lv /srv ext4", "/dev/data/lv for /srv"), ("/dev/other/lv /srv ext4", "/dev/other/lv for /srv"),
            ("PARTUUID=0001-02 /srv ext4", "PARTUUID=0001-02 for /srv"), ("/dev/sdz1 /srv ext4", nil),
        ] as [(String, String?)])
    func `a line of fstab that names nothing is said`(line: String, words: String?) {
        let findings = Self.diagnosis { $0.fstab = .present(line) }.findings
        #expect(findings == (words.map { ["vda1: /etc/fstab names \($0), which no volume of this domain has"] } ?? []))
    }

    @Test func `where something could not be looked into, less is said`() {
        var diagnosis = Self.diagnosis { $0.fstab = .present("UUID=1234 /var ext4\n/dev/other/lv /srv ext4") }
        var encrypted = Self.result("vdb", uuid: "eeee")
        encrypted.volume.content = .unsupported(type: "crypto_LUKS", why: "")
        diagnosis.volumes.append(encrypted)
        #expect(
            diagnosis.findings
                == ["vda1: /etc/fstab names UUID=1234 for /var, which no volume has that could be looked into"])
    }

    @Test func `a kernel is looked for on the volume that is mounted at boot`() {
        var diagnosis = Self.diagnosis { $0.fstab = .present("UUID=cccc /boot ext4") }
        // What is below the mount doesn't count; what can't be read is not missing.
        #expect(diagnosis.findings == [])
        diagnosis.volumes[2].facts = Self.facts("grub2", "vmlinuz-5.14", "initramfs-5.14.img", fstab: "")
        #expect(diagnosis.findings == [])
        diagnosis.volumes[2].facts = Self.facts("grub2", fstab: "")
        #expect(diagnosis.findings == ["vda3: it is /boot, and has no kernel (vmlinuz-…)"])
    }

    @Test func `a lost root is said, where all was looked at`() {
        var diagnosis = Self.diagnosis { $0.root = [Self.entry("lost+found")] }
        diagnosis.volumes.removeSubrange(2...)
        #expect(
            diagnosis.findings
                == ["no volume has a folder /etc: the guest's root is lost, or lies in pieces in a lost+found"])
        diagnosis.volumes.append(Self.result("vdb", uuid: "xfs"))
        #expect(diagnosis.findings == [])
    }

    @Test(
        arguments: [
            (
                .bios, disk([UInt8](repeating: 0, count: 512)),
                "vda: no boot record holds code: a BIOS finds nothing to boot there (no boot loader)"
            ),
            (.kernel, disk([UInt8](repeating: 0, count: 512)), nil),
            (.bios, disk([]), nil),
            (.bios, disk(record(isActive: false)), nil),
            (
                .bios, disk(record("syslinux", isActive: false)),
                "vda: no partition is active, and its boot record looks for one that is"
            ),
            (.bios, disk(record("syslinux")), nil),
            (
                .bios, disk(record(isActive: false), table(.gpt, types: "0fc63daf-8483-4772-8e79-3d69d8477de4")),
                "vda: a GPT without BIOS boot partition: GRUB has no place for its core"
            ),
            (.bios, disk(record(), table(.gpt, types: "x", "21686148-6449-6e6f-744e-656564454649")), nil),
            (.efi, disk(), "vda: no EFI system partition: UEFI firmware finds nothing to boot"),
            (
                .efi,
                disk([UInt8](repeating: 0, count: 512), table(.gpt, types: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B")), nil
            ),
        ] as [(BootMethod, DiskFacts, String?)])
    func `what the firmware finds is said`(method: BootMethod, disk: DiskFacts, words: String?) {
        var diagnosis = Self.diagnosis()
        diagnosis.method = method
        diagnosis.disks = [disk]
        #expect(diagnosis.findings.filter { $0.hasPrefix("vda:") } == (words.map { [$0] } ?? []))
        diagnosis.hasOtherDisks = true
        #expect(diagnosis.findings.filter { $0.hasPrefix("vda:") } == [])
    }

    @Test func `a guest can't make the report long`() {
        let lines = (0..<900).map { "UUID=\($0)\(String(repeating: "x", count: 1000)) /\($0) ext4" }
        let findings = Self.diagnosis { $0.fstab = .present(lines.joined(separator: "\n")) }.findings
        #expect(findings.count == 21)
        #expect(findings.last == "and 880 more")
        #expect(findings.allSatisfy { $0.count <= 301 })
    }

    @Test(
        arguments: [
            ("<os><type arch='x86_64'>hvm</type></os>", .bios), ("<os><type>hvm</type></os>", .bios),
            ("<os firmware='efi'><type arch='x86_64'>hvm</type></os>", .efi),
            ("<os><type arch='aarch64'>hvm</type><loader type='pflash'>/x</loader></os>", .efi),
            ("<os><type arch='ppc64le'>hvm</type></os>", .other),
            ("<os firmware='efi'><type arch='x86_64'>hvm</type><kernel>/vmlinuz</kernel></os>", .kernel),
        ] as [(String, BootMethod)]) func `how a domain boots stands in its XML`(xml: String, method: BootMethod) throws
    {
        #expect(try BootMethod(xml: "<domain>\(xml)</domain>") == method)
    }

    @Test(arguments: [
        (Boot.Outcome.failed, true), (.unknown, true), (.booted, false), (.notStarted, false),
    ]) func `only a boot that is not proven is explained`(boot: Boot.Outcome, isMade: Bool) {
        var outcome = DomainOutcome(plan: Sample.plan(), outcome: .repaired)
        outcome.disks = [Self.disk()]
        outcome.boot = Boot(outcome: boot, evidence: "", seconds: 0)
        #expect((Diagnosis(of: outcome) != nil) == isMade)
    }
}
