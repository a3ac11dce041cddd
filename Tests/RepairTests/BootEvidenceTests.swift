import Foundation
import Testing

@testable import Repair

struct BootEvidenceTests {
    private static func verdict(_ text: String) -> BootEvidence.Verdict {
        var reading = ConsoleReading()
        reading.read(Array(text.utf8))
        return reading.verdict
    }

    private static func name(_ verdict: BootEvidence.Verdict) -> String {
        switch verdict {
        case .nothing: "nothing"
        case .booted: "booted"
        case .failed: "failed"
        case .dead: "dead"
        }
    }

    /// A transcript: comments, an empty comment, the console's bytes.
    struct Transcript: CustomTestStringConvertible {
        let testDescription: String
        let verdict: String
        let proof: String
        let bytes: [UInt8]

        init(_ file: URL) throws {
            let data = [UInt8](try Data(contentsOf: file))
            let end = Array("\n#\n".utf8)
            let start = try #require(data.indices.first { data[$0...].starts(with: end) })
            let head = String(decoding: data[..<start], as: UTF8.self).split(separator: "\n")
            let value = { (key: String) in
                head.first { $0.hasPrefix("# \(key): ") }.map { String($0.dropFirst(key.count + 4)) } ?? ""
            }
            testDescription = file.deletingPathExtension().lastPathComponent
            (verdict, proof) = (value("verdict"), value("proof"))
            bytes = Array(data[(start + end.count)...])
        }

        static let all: [Transcript] = {
            let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Consoles")
            let files =
                (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
            return files.filter { $0.pathExtension == "console" }.compactMap { try? Transcript($0) }
        }()
    }

    @Test func `the transcripts are here`() {
        #expect(Transcript.all.count >= 20)
    }

    @Test(arguments: Transcript.all)
    func `a real console is judged right`(_ transcript: Transcript) {
        var reading = ConsoleReading()
        reading.read(transcript.bytes)
        #expect(Self.name(reading.verdict) == transcript.verdict)
        #expect(reading.verdict.proof?.name == transcript.proof, "\(String(describing: reading.verdict.proof))")
    }

    @Test(arguments: Transcript.all)
    func `byte by byte it is judged the same`(_ transcript: Transcript) {
        var whole = ConsoleReading()
        whole.read(transcript.bytes)
        var single = ConsoleReading()
        for byte in transcript.bytes { single.read([byte]) }
        #expect(single.verdict == whole.verdict)
        #expect(single.transcript == whole.transcript)
    }

    @Test(arguments: [
        "EXT4-fs error (device vda1): ext4_lookup:1785: inode #12: comm init: iget: checksum invalid",
        "[    3.100000] EXT4-fs (vda1): Remounting filesystem read-only",
        "[    3.100000] EXT4-fs (vda1): warning: mounting fs with errors, running e2fsck is recommended",
        "[    3.100000] EXT4-fs (dm-0): mounting fs with errors, running e2fsck is recommended",
        "[    3.100000] EXT2-fs (vda1): error: ext2_lookup: deleted inode referenced: 12",
        "[    3.100000] Aborting journal on device vda1-8.",
        "[    3.100000] XFS (vda1): Metadata corruption detected at xfs_inode_buf_verify+0x89/0x1c0",
        "[    3.100000] XFS (vda1): Internal error xfs_trans_cancel at line 1097 of file fs/xfs/xfs_trans.c.",
        "[    3.100000] XFS (vda1): metadata I/O error in \"xfs_imap_to_bp+0x5c\" at daddr 0x40 len 32 error 117",
        "[    3.100000] BTRFS error (device vda1: state EA): level verify failed on logical 30408704",
        "[    3.100000] FAT-fs (vda1): error, fat_get_cluster: invalid start cluster",
    ]) func `a guest whose filesystem has errors has not booted, whatever it says then`(_ line: String) {
        let boot = "Linux version 6.1\r\n\(line)\r\n"
        let text = "\(boot)[  OK  ] Reached target Multi-User System.\r\nweb login: "
        #expect(Self.name(Self.verdict(text)) == "failed")
        #expect(Self.verdict(text).proof?.name == "filesystem error")
        #expect(Self.verdict("\(boot)Kernel panic - not syncing: x\r\n").proof?.name == "kernel panic")
        #expect(Self.verdict("\(boot)You are in emergency mode.\r\nweb login: ").proof?.name == "emergency mode")
        // Another boot begins anew.
        #expect(Self.name(Self.verdict("\(text)\r\nLinux version 6.1\r\nweb login: ")) == "booted")
    }

    @Test func `that a filesystem is read-only now is said`() {
        let lines = [
            "EXT4-fs error (device vda1): a", "EXT4-fs (vda1): Remounting filesystem read-only",
            "EXT4-fs error (device vda1): b",
        ]
        let proof = Self.verdict(lines.joined(separator: "\r\n") + "\r\nweb login: ").proof
        #expect(proof?.line == lines[0] && proof?.hint == lines[1])
    }

    @Test(arguments: [
        "EXT4-fs (vda1): mounted filesystem with ordered data mode. Quota mode: none.",
        "EXT4-fs (vda1): re-mounted. Quota mode: none.", "XFS (vda1): Mounting V5 Filesystem",
        "XFS (vda1): Starting recovery (logdev: internal)", "EXT4-fs (vda1): recovery complete",
        "BTRFS info (device vda1): using free space tree",
        "FAT-fs (vda1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.",
        "blk_update_request: I/O error, dev fd0, sector 0 op 0x0:(READ)",
    ]) func `a guest that says what all say has booted`(_ line: String) {
        #expect(Self.name(Self.verdict("Linux version 6.1\r\n[    3.100000] \(line)\r\nweb login: ")) == "booted")
    }

    @Test func `a relabelling is long work, until the guest restarts`() {
        var reading = ConsoleReading()
        reading.read(
            Array(
                "Linux version 6.1\r\n[    3.100000] rc.sysinit[9]: *** Relabeling could take a very long time, depending on file\r\n"
                    .utf8))
        #expect(reading.work == "SELinux relabels every file" && Self.name(reading.verdict) == "nothing")
        reading.read(Array("[    9.100000] reboot: Restarting system\r\nLinux version 6.1\r\n".utf8))
        #expect(reading.work == nil)
    }

    @Test func `the prompt that proves it is kept with the lines before it`() {
        var reading = ConsoleReading()
        reading.read(Array("Linux version 6.1\r\nweb login: ".utf8))
        #expect(reading.transcript == "Linux version 6.1\nweb login: \n")
        reading.read(Array("\r\n".utf8))
        #expect(reading.transcript == "Linux version 6.1\nweb login: \n")
    }

    @Test(arguments: Transcript.all.filter { $0.verdict == "failed" && $0.proof != BootEvidence.bootLoop })
    func `until a failed console failed, nothing said so`(_ transcript: Transcript) {
        var reading = ConsoleReading()
        var seen: [String] = []
        for byte in transcript.bytes {
            reading.read([byte])
            let name = Self.name(reading.verdict)
            if seen.last != name { seen.append(name) }
        }
        #expect(seen == ["nothing", "failed"])
    }

    @Test(arguments: BootPatterns.all)
    func `every pattern counts on its own`(_ pattern: BootPattern) {
        // Its shortest line, as it is documented.
        let line = pattern.phrase + (pattern.also.map { " … \($0)" } ?? "") + "\n"
        let verdict = Self.verdict(line)
        switch pattern.meaning {
        case .start, .hint, .shutdown, .work: #expect(verdict == .nothing)
        case .fatal: #expect(Self.name(verdict) == "dead")
        case .failed, .damaged: #expect(Self.name(verdict) == "failed")
        case .booted, .finished: #expect(Self.name(verdict) == "booted")
        }
        #expect(verdict.proof.map(\.name) == (verdict == .nothing ? nil : pattern.name))
        #expect(!pattern.source.isEmpty && !pattern.systems.isEmpty)
    }

    @Test(arguments: [
        "web login: ", "web.example.org login: ", "login: ", "web login: root\n", "\r\nweb login: [   12.3] x\n",
        "web login: [   12.345678] random: crng init done\n", "web login: root (automatic login)\n", "grüße login: ",
    ])
    func `a login prompt is a proof`(_ text: String) {
        #expect(Self.verdict(text).proof?.name == "login prompt")
        #expect(Self.name(Self.verdict(text)) == "booted")
    }

    @Test(arguments: [
        "Last login: Mon Jan  1 00:00:00 UTC 2026 on ttyS0\n", "Please login: ", "Your login: ", "Failed login: root\n",
        "To get help, please see the page about login: it is long\n", "relogin: ",
        "PAM: web login: accepted for root\n",
        "    login: yes\n", "login:x:100:100::/home:/bin/sh\n", "web login: this machine is for members only\n",
        "[   12.345678] systemd-logind[1]: New login: root\n", "(web) login: ",
    ])
    func `what only looks like a login prompt is none`(_ text: String) {
        #expect(Self.verdict(text) == .nothing)
    }

    @Test(arguments: [
        "[    0.000000] Command line: BOOT_IMAGE=/vmlinuz systemd.unit=emergency.target Reached target Emergency Mode\n",
        "[    0.000000] Kernel command line: panic=1 (initramfs) Kernel panic - not syncing\n",
        "[    0.1] Unknown kernel command line parameters \"x: Reached target rescue.target\", will be passed\n",
        "pstore: found Kernel panic - not syncing in a record\n", "kdump: the Kernel panic - not syncing: x\n",
        "see (initramfs) in the manual\n", "the grub rescue> prompt\n", "error: no such device: abc.\n",
        "Boot failed: not a bootable disk\n", "[FAILED] Failed to start something.\n",
        "[DEPEND] Dependency failed for /data.\n", "Stopped target Multi-User System.\n",
        "dracut: Scanning devices vda2 for LVM volume groups\n", "panic: runtime error: index out of range\n",
        "Cloud-init v. 22.4.2 running 'init' at Thu\n",
    ])
    func `what is said on the way, or repeated, proves nothing`(_ text: String) {
        #expect(Self.verdict(text) == .nothing)
    }

    @Test(arguments: [
        "<0>[    1.234567] Kernel panic - not syncing: x\n", "[    1.234567] Kernel panic - not syncing: x\n",
        "[    1.234567][    T1] Kernel panic - not syncing: x\n",
        "[  OK  ] Started cron.[    1.234567] Kernel panic - not syncing: x\n", "Kernel panic - not syncing: x\n",
    ])
    func `a panic is found wherever the kernel's clock stands`(_ text: String) {
        #expect(Self.verdict(text).proof?.name == "kernel panic")
    }

    @Test func `nothing comes after a panic but another boot`() {
        let panic = "[    1.234567] Kernel panic - not syncing: x\n"
        #expect(Self.name(Self.verdict(panic + "web login: ")) == "dead")
        #expect(Self.name(Self.verdict("web login: \n" + panic)) == "dead")
        #expect(Self.name(Self.verdict(panic + "[    0.000000] Linux version 6.1\nweb login: ")) == "booted")
        #expect(Self.verdict(panic + "SeaBIOS (version 1.16)\n") == .nothing)
    }

    @Test func `the later line decides`() {
        let emergency = "You are in emergency mode. After logging in\n"
        #expect(Self.name(Self.verdict(emergency + "web login: \n")) == "booted")
        #expect(Self.name(Self.verdict("web login: root\n" + emergency)) == "failed")
        // Said at the end of a failed boot, too.
        let finished = "[    9.123456] systemd[1]: Startup finished in 1s (kernel) + 2s (userspace) = 3s.\n"
        #expect(Self.name(Self.verdict(emergency + finished)) == "failed")
        #expect(Self.name(Self.verdict(finished)) == "booted")
        #expect(Self.name(Self.verdict(finished + emergency)) == "failed")
    }

    @Test func `the first line of a failure is its proof, and the line before it its hint`() throws {
        let verdict = Self.verdict(
            """
            [FAILED] Failed to mount /data.
            You are in emergency mode. After logging in, type "journalctl -xb" to view
            Give root password for maintenance
            """)
        let proof = try #require(verdict.proof)
        #expect(proof.line == #"You are in emergency mode. After logging in, type "journalctl -xb" to view"#)
        #expect(proof.hint == "[FAILED] Failed to mount /data.")
    }

    private static func boots(_ count: Int, _ rest: String = "") -> String {
        String(repeating: "SeaBIOS (version 1.16.2)\nBooting from Hard Disk...\n\(rest)", count: count)
    }

    @Test func `a guest that starts again and again is in a loop`() {
        #expect(Self.verdict(Self.boots(3)) == .nothing)
        #expect(Self.verdict(Self.boots(4)).proof?.name == BootEvidence.bootLoop)
        // One boot has several banners.
        let banners = "Welcome to GRUB!\n[    0.000000] Linux version 6.1\n"
        #expect(Self.verdict(Self.boots(3, banners)) == .nothing)
        #expect(Self.verdict(Self.boots(4, banners)).proof?.name == BootEvidence.bootLoop)
        // Why it restarts says more than a banner.
        let panic = "[    1.234567] Kernel panic - not syncing: x\n"
        #expect(
            Self.verdict(Self.boots(4, panic) + "SeaBIOS (version 1.16.2)\n").proof?.line == String(panic.dropLast()))
        #expect(Self.name(Self.verdict(Self.boots(5) + "web login: ")) == "booted")
    }

    @Test(arguments: [
        "web login: \n", "[  700.000000] something late\n", "[   50.000000] reboot: Restarting system\n",
        "[  OK  ] Reached target System Reboot.\n",
    ])
    func `restarts of a guest that lived are no loop`(_ line: String) {
        let verdict = Self.verdict(Self.boots(20, line))
        #expect(verdict.proof?.name != BootEvidence.bootLoop)
    }

    @Test func `a flood costs time that is linear, and no memory`() {
        var generator = SplitMix(state: 3)
        // Everything that is expensive for a careless matcher: nearly phrases, no line breaks, escape sequences, prompts.
        let kinds: [[UInt8]] = [
            (0..<(1 << 20)).map { _ in UInt8(truncatingIfNeeded: generator.next()) },
            Array(String(repeating: "Kernel panic - not syncinKernel panic ", count: 20_000).utf8),
            Array(String(repeating: "\u{1B}[1;1H\u{1B}]0;", count: 100_000).utf8),
            Array(String(repeating: "x login: y login: ", count: 50_000).utf8),
            [UInt8](repeating: 0x0A, count: 1 << 20), [UInt8](repeating: 0x0D, count: 1 << 20),
        ]
        for kind in kinds {
            var reading = ConsoleReading()
            for _ in 0..<2 { reading.read(kind) }
            #expect(reading.transcript.utf8.count < 2 << 20)
            if case .dead = reading.verdict { Issue.record("dead by a flood") }
        }
    }

    @Test func `restarts that libvirt tells of are a boot loop, once they are as many as banners would be`() {
        var reading = ConsoleReading()
        for _ in 2..<BootEvidence.loopLimit {
            reading.restart()
            #expect(reading.verdict == .nothing)
        }
        reading.restart()
        #expect(reading.verdict.proof?.name == BootEvidence.bootLoop)
        #expect(Self.name(reading.verdict) == "failed")
        let verdict = reading.verdict
        // How long it lasts is measured: it must stay the same.
        reading.restart()
        #expect(reading.verdict == verdict)
    }

    @Test func `a guest that restarts in order, or has come up between, is in no loop`() {
        for words in ["[   12.345678] reboot: Restarting system\r\n", "web login: \r\n"] {
            var reading = ConsoleReading()
            for _ in 0..<BootEvidence.loopLimit {
                reading.read(Array(words.utf8))
                reading.restart()
            }
            #expect(reading.verdict.proof?.name != BootEvidence.bootLoop, "\(words)")
        }
    }

    @Test func `a restart that libvirt tells of does not take a panic back that is read later`() {
        var reading = ConsoleReading()
        reading.read(Array("Kernel panic - not syncing: x\r\n".utf8))
        reading.restart()
        #expect(Self.name(reading.verdict) == "dead")
    }
}
