import Testing

@testable import Repair

struct VolumeFactsTests {
    /// What debugfs 1.47.0 prints, less most of its statistics.
    private static let answers = """
        debugfs: show_super_stats -h
        Filesystem volume name:   <none>
        Block count:              16384
        Reserved block count:     819
        Free blocks:              14053
        Free inodes:              4077
        Block size:               1024
        debugfs: ls -p /
        /2/040755/0/0/.//
        /2/040755/0/0/..//
        /11/040700/0/0/lost+found//
        /15/040755/0/0/etc//
        /17/120777/0/0/sbin/8/

        debugfs: ls -p /boot
        /12/040755/0/0/.//
        /2/040755/0/0/..//
        /13/100644/0/0/a b
        c/1/
        /14/100644/0/0/vmlinuz-6.1/0/
        /16/120777/0/0/vmlinuz/0/
        /18/100644/0/0/initrd.img-6.1/77/

        debugfs: ls -p /lost+found
        /11/040700/0/0/.//
        /2/040755/0/0/..//
        /0/000000/0/0//0/
        /19/100644/0/0/#19/3/

        debugfs: stat /sbin/init
        Inode: 20   Type: regular    Mode:  0755   Flags: 0x80000
        debugfs: cat /etc/fstab
        UUID=abc / ext4
        debugfs: ls -p /boot

        """

    @Test func `debugfs's answers are read`() throws {
        let facts = try #require(VolumeFacts(answers: Self.answers, complaints: "debugfs 1.47.0 (5-Feb-2023)\n"))
        #expect(facts.freeBytes == 14053 * 1024)
        #expect(facts.freeInodes == 4077)
        #expect(facts.root.map(\.name) == [".", "..", "lost+found", "etc", "sbin"])
        #expect(facts.isRoot)
        #expect(
            facts.boot
                == .present([
                    VolumeFacts.Entry(name: ".", isEmptyFile: false), VolumeFacts.Entry(name: "..", isEmptyFile: false),
                    VolumeFacts.Entry(name: "vmlinuz-6.1", isEmptyFile: true),
                    VolumeFacts.Entry(name: "vmlinuz", isEmptyFile: false),
                    VolumeFacts.Entry(name: "initrd.img-6.1", isEmptyFile: false),
                ]))
        #expect(facts.lost == 1)
        #expect(facts.initialProcess == .present(true))
        #expect(facts.fstab == .present("UUID=abc / ext4\ndebugfs: ls -p /boot\n"))
    }

    @Test func `what is said to be missing is missing, and what can't be read is not known`() throws {
        let empty = VolumeFacts.questions.map { question in
            "debugfs: \(question)\n" + (question == "ls -p /" ? "/2/040755/0/0/.//\n" : "")
        }.joined()
        let missing = try #require(
            VolumeFacts(
                answers: empty,
                complaints: ["/boot", "/sbin/init", "/etc/fstab"]
                    .map { "\($0): File not found by ext2_lookup \n" }.joined()))
        #expect(missing.boot == .missing)
        #expect(missing.initialProcess == .missing)
        #expect(missing.fstab == .missing)
        let unreadable = try #require(
            VolumeFacts(
                answers: empty,
                complaints: ["/boot", "/sbin/init", "/etc/fstab"]
                    .map { "\($0): Attempt to read block from filesystem resulted in short read\n" }.joined()))
        #expect(unreadable.boot == nil)
        #expect(unreadable.initialProcess == nil)
        #expect(unreadable.fstab == nil)
        #expect(unreadable.freeBytes == nil)
    }

    @Test(arguments: ["", "debugfs: show_super_stats -h\n", "debugfs: ls -p /\n/2/040755/0/0/.//\n"])
    func `half of the answers are none`(_ text: String) {
        #expect(VolumeFacts(answers: text, complaints: "") == nil)
    }
}
