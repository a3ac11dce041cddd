import Foundation
import TestSupport
import Testing

/// An agent in a real guest, good and bad. libvirt connects to it only when the guest has opened its port.
@Suite(
    .enabled(if: DemoGuest.obstacle == nil, "\(DemoGuest.obstacle ?? "")"), .timeLimit(.minutes(40)))
struct AgentTests {
    @Test(arguments: [AgentGuest.Agent.live, .slow])
    func `an agent that answers proves the boot, also when it takes its time`(_ agent: AgentGuest.Agent) async throws {
        try await Workshop.with { shop in
            try await AgentGuest.define(agent, in: shop)
            let run = try await shop.virtFsck("repair", "--boot-timeout", "300")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.boot.outcome == "booted", "\(run)")
            #expect(run.domain?.boot.evidence == "its guest agent answers", "\(run)")
        }
    }

    @Test func `with after-boot the answer of an agent lets the repair be merged`() async throws {
        try await Workshop.with { shop in
            try await AgentGuest.define(.live, in: shop)
            let run = try await shop.virtFsck("repair", "--commit", "after-boot", "--boot-timeout", "300")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.boot.evidence == "its guest agent answers", "\(run)")
            #expect(run.domain?.committed == true)
            try #expect(await shop.state() == "running")
            try #expect(FileManager.default.contentsOfDirectory(atPath: shop.disks) == ["disk.qcow2"])
        }
    }

    /// Each says on its console when it has been at it for a while: what the run waits for.
    @Test(arguments: AgentGuest.Agent.bad)
    func `an agent that is none leaves the proof to the console`(_ agent: AgentGuest.Agent) async throws {
        try await Workshop.with { shop in
            try await AgentGuest.define(agent, in: shop)
            let run = try await shop.virtFsck("repair", "--commit", "after-boot", "--boot-timeout", "300")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.boot.outcome == "booted", "\(run)")
            #expect(run.domain?.boot.evidence.contains("test login:") == true, "\(run)")
            #expect(run.domain?.committed == true)
            #expect(run.peakMemory <= 60_000_000)
            // libvirt has listened to it.
            let live = try await PrivateLibvirt.shared.virsh("dumpxml", shop.name)
            #expect(live.contains("name='org.qemu.guest_agent.0' state='connected'"), "\(live)")
        }
    }

    @Test func `an agent that is stuck, in a guest that says nothing, is not waited for longer than for a boot`()
        async throws
    {
        try await Workshop.with { shop in
            try await AgentGuest.define(.stuck(says: ""), in: shop)
            let run = try await shop.virtFsck("repair", "--boot-timeout", "25")
            #expect(run.exitStatus == 1, "\(run)")
            #expect(run.domain?.boot.outcome == "unknown", "\(run)")
            #expect(run.domain?.boot.evidence.contains("its guest agent is silent") == true, "\(run)")
            // libvirt would wait for it for ever.
            #expect(run.domain.map { $0.boot.seconds < 200 } == true, "\(run)")
        }
    }
}

/// A domain with a damaged disk, whose guest is the demo's kernel with nothing but an agent of a few lines.
enum AgentGuest {
    /// What it does with what libvirt asks.
    enum Agent: Sendable, CustomTestStringConvertible {
        /// Answers at once.
        case live
        /// Answers libvirt's first question after a second, which libvirt waits for, and the next after longer than we wait.
        case slow
        /// Answers after fifteen seconds, when libvirt has given up: after five.
        case late
        /// Says that it is there, and never more.
        case stuck(says: String)
        /// Sends bytes without a sense, and without an end.
        case noise
        /// Sends one line that never ends.
        case endlessLine
        /// Sends JSON that is no answer.
        case wrongAnswers

        static let bad: [Agent] = [.late, .stuck(says: login), .noise, .endlessLine, .wrongAnswers]

        private static let login = "test login: "

        var testDescription: String {
            switch self {
            case .live: "live"
            case .slow: "slow"
            case .late: "late"
            case .stuck: "stuck"
            case .noise: "noise"
            case .endlessLine: "endless line"
            case .wrongAnswers: "wrong answers"
            }
        }

        /// The program of busybox's shell; the port is descriptor 3. `asked` waits for a question, `sync` answers libvirt's
        /// first question, `time` the second, and `up` shows a login prompt.
        fileprivate var program: String {
            switch self {
            case .live: "while asked; do sync; time; done"
            case .slow:
                "while asked; do case $question in *guest-sync*) sleep 1 ;; *) sleep 6 ;; esac; sync; time; done"
            case .late: "login 25 & while asked; do sleep 15; sync; time; done"
            case .stuck(let words): "\(words.isEmpty ? "" : "login 8 &") while asked; do sync; done"
            case .noise: "login 8 & asked; cat /dev/urandom >&3"
            case .endlessLine: "login 8 & asked; tr '\\0' '{' </dev/zero >&3"
            case .wrongAnswers:
                #"""
                login 8 &
                while asked; do
                  say '[]'; say '{"return":"x"}'; say '{"return":{"return":7}}'; say '{"error":7}'; say '{"event":7}'
                done
                """#
            }
        }
    }

    static func define(_ agent: Agent, in shop: Workshop) async throws {
        let filesystem = "\(shop.folder)/fs"
        try await Filesystem.ext4.make(at: filesystem)
        try await Filesystem.ext4.damage(filesystem)
        let disk = "\(shop.disks)/disk.qcow2"
        try await Storage.qcow2.make(disk, from: filesystem, over: nil)
        let boot = "\(shop.folder)/boot"
        try await makeInitrd(of: agent, in: boot)
        let xml = """
            <domain type='qemu'><name>\(shop.name)</name><memory unit='MiB'>128</memory>
            <os><type arch='x86_64' machine='pc'>hvm</type>
            <kernel>\(boot)/vmlinuz</kernel><initrd>\(boot)/initrd</initrd>
            <cmdline>console=ttyS0 quiet panic=-1 no_timer_check</cmdline></os>
            <features><acpi/><apic/></features><cpu mode='maximum'/><on_reboot>destroy</on_reboot>
            <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
            \(Workshop.disk(disk, format: "qcow2"))<serial type='pty'/>
            <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
            <controller type='usb' model='none'/><memballoon model='none'/></devices></domain>
            """
        let file = "\(shop.folder)/domain.xml"
        try xml.write(toFile: file, atomically: true, encoding: .utf8)
        try await PrivateLibvirt.shared.virsh("define", file)
    }

    /// Makes `vmlinuz` and `initrd` in a folder.
    private static func makeInitrd(of agent: Agent, in folder: String) async throws {
        let root = "\(folder)/root"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let busybox = try #require(Tool.path(of: "busybox"))
        try await Tool.output(of: "cp", [busybox, "\(root)/busybox"])
        let kernel = try await DemoGuest.kernel()
        try await Tool.output(of: "cp", [kernel.image, "\(folder)/vmlinuz"])
        try await Tool.output(of: "cp", kernel.modules + [root])
        let names = kernel.modules.map { URL(filePath: $0).lastPathComponent }
        let program = #"""
            #!/busybox sh
            /busybox mkdir /bin /dev /sys
            /busybox --install -s /bin
            export PATH=/bin
            mount -t devtmpfs dev /dev
            mount -t sysfs sys /sys
            for module in \#(names.joined(separator: " ")); do insmod "/$module"; done
            # Its node comes before it can be opened, its name afterwards.
            until grep -qs guest_agent /sys/class/virtio-ports/*/name; do sleep 0.1; done
            exec 3<>"$(ls /dev/vport*)"
            # Reading ends at once as long as nobody is there.
            asked() { until read -r question <&3; do sleep 0.1; done; }
            say() { echo "$1" >&3; }
            sync() {
              case $question in *guest-sync*) id=${question##*:}; say "{\"return\":${id%%\}*}}" ;; esac
            }
            time() {
              case $question in *guest-get-time*) say '{"return":1700000000000000000}' ;; esac
            }
            login() { sleep "$1"; printf '\ntest login: ' >/dev/console; }
            \#(agent.program)
            while :; do sleep 3600; done

            """#
        try program.write(toFile: "\(root)/init", atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(root)/init")
        try await Tool.output(
            of: "sh",
            ["-c", #"cd "$1" && find . | cpio --quiet -o -H newc >"$2/initrd""#, "sh", root, folder])
    }
}
