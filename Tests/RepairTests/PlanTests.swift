import Libvirt
import Testing

@testable import HostTools
@testable import Repair

struct PlanTests {
    @Test func `a domain that is shut off with a plain disk is repaired`() {
        let plan = Sample.plan()
        #expect(plan.refusals == [])
        #expect(plan.warnings == [])
        #expect(plan.disks.map(\.handling) == [.repair])
        #expect(plan.attached.map(\.target) == ["vda"])
        #expect(plan.engine == .nbd && plan.mapping == .deviceMapper && !plan.powersOff)
        #expect(plan.disks.first?.size == 1 << 30)
    }

    @Test(arguments: [
        (DomainState.running, "web: is running; shut it down first: --shutdown, or virsh shutdown web"),
        (.blocked, "web: is blocked; shut it down first: --shutdown, or virsh shutdown web"),
        (.shutdown, "web: is shutdown; shut it down first: --shutdown, or virsh shutdown web"),
        (.nostate, "web: is nostate; shut it down first: --shutdown, or virsh shutdown web"),
        (.paused, "web: is paused (I/O error); end it first: --force-off, or virsh destroy web"),
        (.pmsuspended, "web: is suspended; wake and shut it down first: virsh dompmwakeup web"),
    ]) func `a domain that is not off is refused, with the way out`(state: DomainState, refusal: String) {
        let summary = Sample.summary(state, state == .paused ? .ioError : .unknown, isActive: true)
        #expect(Sample.plan(Sample.inventory(summary: summary)).refusals == [refusal])
    }

    @Test(arguments: [
        (
            Sample.summary(hasManagedSave: true),
            "web: has a managed save, whose memory holds the old filesystem's state; start and shut it down, or discard it: "
                + "--discard-saved-state"
        ),
        (
            Sample.summary(checkpoints: 1),
            "web: has checkpoints, which an offline repair would make wrong; delete them first: virsh checkpoint-delete web …"
        ),
        (
            Sample.summary(isPersistent: false),
            "web: is transient, it would be gone with its next stop; define it first"
        ),
    ]) func `what a repair would break is refused`(summary: DomainSummary, refusal: String) {
        #expect(Sample.plan(Sample.inventory(summary: summary)).refusals == [refusal])
    }

    @Test func `a saved state that the user gives up is no reason to refuse a repair, and one for a check`() {
        var options = Options()
        options.savedState = .discard
        let saved = Sample.inventory(summary: Sample.summary(hasManagedSave: true))
        let plan = Plan(for: saved, on: Sample.host, options: options)
        #expect(plan.refusals == [] && plan.discardsSavedState)
        // A managed save that comes later is no one that the user knew of.
        #expect(!Plan(for: Sample.inventory(), on: Sample.host, options: options).discardsSavedState)
        options.mode = .check
        #expect(Plan(for: saved, on: Sample.host, options: options).refusals.count == 1)
    }

    @Test(arguments: ["kvm", "qemu", "test"]) func `domains of QEMU are repaired`(type: String) {
        var inventory = Sample.inventory()
        inventory.description.type = type
        #expect(Sample.plan(inventory).refusals == [])
    }

    @Test(arguments: ["lxc", "xen", "vz", "bhyve", "hvf", ""]) func `domains of others are refused`(type: String) {
        var inventory = Sample.inventory()
        inventory.description.type = type
        #expect(
            Sample.plan(inventory).refusals == [
                "web: is a domain of type '\(type)'; only those of QEMU are repaired (kvm, qemu)"
            ])
    }

    @Test func `what another run has under its hands is not judged`() {
        var inventory = Sample.inventory(summary: Sample.summary(hasManagedSave: true))
        inventory.lockProblem = "web: virt-fsck (pid 1, since then) is working on it; wait until that has ended"
        #expect(Sample.plan(inventory).refusals == [inventory.lockProblem].compactMap { $0 })
    }

    @Test func `a crashed domain that libvirt still has is destroyed, one that is gone is not`() {
        let kept = Sample.plan(Sample.inventory(summary: Sample.summary(.crashed, .panicked, isActive: true)))
        #expect(kept.refusals == [] && kept.powersOff)
        let gone = Sample.plan(Sample.inventory(summary: Sample.summary(.crashed, .panicked)))
        #expect(gone.refusals == [] && !gone.powersOff)
    }

    @Test func `a user who is not root is refused`() {
        var host = Sample.host
        host.isRoot = false
        #expect(Sample.plan(on: host).refusals == ["this must run as root: it attaches disks to the host"])
    }

    @Test func `missing programs are refused with their packages`() {
        var host = Sample.host
        host.missingPrograms = ["bwrap: not found; install bubblewrap"]
        #expect(Sample.plan(on: host).refusals == host.missingPrograms)
    }

    @Test(
        arguments: [
            (nil, [:], EngineKind.nbd, "the host has nbd"),
            (nil, [.nbd: "no module"], .fuse, "no nbd here: no module"),
            (
                nil, [.nbd: "no module", .fuse: "no FUSE"], nil,
                "no way to attach a disk: nbd: no module; fuse: no FUSE"
            ),
            (nil, [.fuse: "no FUSE"], .nbd, "the host has nbd"),
            (.fuse, [:], .fuse, "asked for"), (.nbd, [:], .nbd, "asked for"),
            (.nbd, [.nbd: "no module"], nil, "engine nbd: no module"),
            (.fuse, [.fuse: "no FUSE"], nil, "engine fuse: no FUSE"),
        ] as [(EngineKind?, [EngineKind: String], EngineKind?, String)])
    func `an engine is the one asked for, or the best there is`(
        wanted: EngineKind?, problems: [EngineKind: String], engine: EngineKind?, reason: String
    ) {
        var host = Sample.host
        host.engineProblems = problems
        var options = Options()
        options.engine = wanted
        let plan = Plan(for: Sample.inventory(), on: host, options: options)
        #expect(plan.engine == engine)
        #expect(plan.engineReason == reason)
        #expect(plan.refusals == (engine == nil ? [reason] : []))
    }

    @Test func `without device-mapper the daemon shows the parts`() {
        var host = Sample.host
        host.hasDeviceMapper = false
        #expect(Sample.plan(on: host).mapping == .daemonNodes)
    }

    /// One change to a good disk, and what must be said of it.
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var refusal: String
        var change: @Sendable (inout DiskInventory) -> Void

        init(_ name: String, _ refusal: String, _ change: @Sendable @escaping (inout DiskInventory) -> Void) {
            testDescription = name
            self.refusal = refusal
            self.change = change
        }
    }

    @Test(arguments: [
        Case("lun", "vda: device='lun' gives the guest the device itself; it can't be repaired here") {
            $0.disk.device = .lun
        },
        Case("tape", "vda: device='tape' is no kind of disk that can be repaired here") {
            $0.disk.device = .other("tape")
        },
        Case("network", "vda: is a network disk (rbd); repair it where it is") {
            $0.disk.source = .network(protocol: "rbd")
        },
        Case("dir", "vda: a disk of type 'dir' can't be repaired here") { $0.disk.source = .other("dir") },
        Case("nvme", "vda: a disk of type 'nvme' can't be repaired here") { $0.disk.source = .other("nvme") },
        Case("shareable", "vda: is shareable; others may write to it during the repair") { $0.disk.isShareable = true },
        Case(
            "odd sectors",
            "vda: has sectors of another size than 512 or 4096 bytes (blockio); the partition table can't be read as the guest reads it"
        ) { $0.disk.sectorSize = 2048 },
        Case("transient", "vda: is transient; a repair would be thrown away") { $0.disk.isTransient = true },
        Case("slice", "vda: uses a slice of its file, which is not supported") { $0.disk.isSlice = true },
        Case("encrypted", "vda: is encrypted; an overlay would leak its data") { $0.disk.isEncrypted = true },
        Case("encrypted layer", "vda: is encrypted; an overlay would leak its data") {
            var below = Sample.image("/base", format: "luks")
            below.isEncrypted = true
            $0.chain.append(below)
        },
        Case("vmdk", "vda: images of format 'vmdk' are not supported (qcow2 and raw are)") { $0.disk.format = "vmdk" },
        Case(
            "our overlay",
            "vda: an interrupted run left the domain on its overlay /images/web.qcow2.virt-fsck-0123456789ab.qcow2; everything "
                + "repaired is in there, and the domain can be started as it is; finish the run with: virt-fsck recover "
                + "(where that knows no run any more: qemu-img commit, then virsh edit)"
        ) {
            $0.path = "/images/web.qcow2.virt-fsck-0123456789ab.qcow2"
            $0.status = try? FileStatus(of: "/etc/passwd")
        },
        Case(
            "in use",
            "vda: /images/web.qcow2 is used by a (vdb), b (kernel) too; a repair would change that domain's disk"
        ) { $0.users = [.domain("a", role: "vdb"), .domain("b", role: "kernel")] },
        Case(
            "in use by itself",
            "vda: /images/web.qcow2 is used by the domain once more, as vdb; a repair of one would break the other"
        ) { $0.users = [.itself(role: "vdb")] },
        Case(
            "mounted",
            "vda: /images/web.qcow2 is in use on this host: /dev/loop0 is mounted on /mnt, /dev/loop0 lies over it; a repair "
                + "beneath it would be overwritten; end that first: umount /mnt; losetup --detach /dev/loop0"
        ) {
            $0.users = [
                .host(.mounted(device: "/dev/loop0", at: "/mnt", process: nil)), .host(.loop(device: "/dev/loop0")),
            ]
        },
        Case("read-only", "vda: /images/web.qcow2: is immutable") {
            $0.writeProblem = "/images/web.qcow2: is immutable"
        },
        Case("unreadable", "vda: /images/web.qcow2: Permission denied") {
            $0.problem = "/images/web.qcow2: Permission denied"
        },
        Case(
            "corrupt",
            "vda: qemu-img check finds /images/web.qcow2 corrupt; writing through it could destroy more: copy it, then try "
                + "qemu-img check -r all"
        ) { $0.check = .corrupt },
        Case(
            "marked corrupt",
            "vda: qemu-img check finds /images/web.qcow2 corrupt; writing through it could destroy more: copy it, then try "
                + "qemu-img check -r all"
        ) { $0.chain[0].isMarkedCorrupt = true },
        Case("data file", "vda: /images/web.qcow2 keeps its data in another file, which is not supported") {
            $0.chain[0].dataFile = "/data"
        },
        Case(
            "block job",
            "vda: libvirt is at work on it (active-commit); let that end first: virsh blockjob web vda"
        ) { $0.blockJob = .activeCommit },
        Case("locked image", "vda: /images/web.qcow2: virt-fsck (pid 1, since then) is working on it") {
            $0.lockProblem = "vda: /images/web.qcow2: virt-fsck (pid 1, since then) is working on it"
        },
        Case("bitmaps", "vda: /images/web.qcow2 has dirty bitmaps (incremental backup); remove them first") {
            $0.chain[0].bitmaps = ["backup"]
        },
        Case("empty", "vda: /images/web.qcow2 is empty (size 0)") { $0.chain[0].virtualSize = 0 },
        Case(
            "odd size",
            "vda: the size of /images/web.qcow2 is no multiple of 512 bytes; round it up first: truncate -s %512 "
                + "/images/web.qcow2"
        ) {
            $0.chain[0].format = "raw"
            $0.chain[0].virtualSize = 1_000_001
        },
    ]) func `a disk that must not be touched is refused, with the way out`(refused: Case) {
        var disk = Sample.diskInventory()
        refused.change(&disk)
        #expect(Sample.plan(Sample.inventory([disk])).refusals == [refused.refusal])
    }

    @Test func `a device node that is no disk is refused`() throws {
        var disk = Sample.diskInventory(Sample.disk(path: "/dev/null", format: "raw"))
        disk.status = try FileStatus(of: "/dev/null")
        #expect(
            Sample.plan(Sample.inventory([disk])).refusals == ["vda: /dev/null is neither a file nor a block device"])
    }

    @Test func `leaks and formats without a check are no reason to refuse`() {
        for check in [ImageCheck.leaks, .notChecked] {
            var disk = Sample.diskInventory()
            disk.check = check
            #expect(Sample.plan(Sample.inventory([disk])).refusals == [])
        }
    }

    @Test func `cdroms, floppies and empty drives are left alone`() {
        var disks = [Sample.diskInventory()]
        for (device, target) in [(Disk.Device.cdrom, "sda"), (.floppy, "fda")] {
            var disk = Sample.disk(target, path: "/iso")
            disk.device = device
            // Whatever is odd about it doesn't matter.
            disk.isShareable = true
            disk.format = "dmg"
            disks.append(Sample.diskInventory(disk))
        }
        var empty = Sample.disk("vdb")
        empty.source = .none
        disks.append(Sample.diskInventory(empty))
        let plan = Sample.plan(Sample.inventory(disks))
        #expect(plan.refusals == [])
        #expect(plan.disks.map(\.handling) == [.repair, .skip("cdrom"), .skip("floppy"), .skip("no medium")])
        #expect(plan.attached.map(\.target) == ["vda"])
    }

    @Test func `a read-only disk is checked only`() {
        var disk = Sample.disk()
        disk.isReadOnly = true
        let plan = Sample.plan(Sample.inventory([Sample.diskInventory(disk)]))
        #expect(plan.disks.map(\.handling) == [.checkOnly("the domain has it read-only")])
        #expect(plan.attached.map(\.target) == ["vda"])
    }

    @Test func `a domain without a disk that could be checked is refused`() {
        #expect(Sample.plan(Sample.inventory([])).refusals == ["web: has no disk that could be checked here"])
    }

    @Test func `every reason is given at once`() {
        var one = Sample.diskInventory()
        one.disk.isShareable = true
        one.disk.isTransient = true
        var host = Sample.host
        host.isRoot = false
        let plan = Sample.plan(Sample.inventory([one], summary: Sample.summary(hasManagedSave: true)), on: host)
        #expect(plan.refusals.count == 4)
    }

    @Test func `who manages the domain, and snapshots, are warned of`() {
        let plan = Sample.plan(Sample.inventory(summary: Sample.summary(snapshots: 2), manager: "oVirt"))
        #expect(plan.refusals == [])
        #expect(
            plan.warnings == [
                "oVirt manages this domain and may start it from an XML of its own at any time",
                "its snapshots keep the old, damaged state",
            ])
    }

    @Test(arguments: ["/tmp", "/tmp/x", "/run/overlays", "/dev/shm", "/var/run/x", "/var/tmp"])
    func `a scratch folder that a reboot empties is refused`(folder: String) {
        var options = Options()
        options.scratchFolder = folder
        let plan = Plan(for: Sample.inventory(), on: Sample.host, options: options)
        #expect(plan.refusals == ["\(folder): does not survive a reboot; give another --scratch-dir"])
    }

    @Test func `a scratch folder is refused once, however many disks there are`() {
        var options = Options()
        options.scratchFolder = "/tmp"
        let disks = [Sample.diskInventory(), Sample.diskInventory(Sample.disk("vdb", path: "/images/data.qcow2"))]
        let plan = Plan(for: Sample.inventory(disks), on: Sample.host, options: options)
        #expect(plan.refusals == ["/tmp: does not survive a reboot; give another --scratch-dir"])
    }

    @Test(arguments: ["/tmpfiles", "/runs", "/srv/tmp"]) func `a name that only looks like one is fine`(folder: String)
    {
        var options = Options()
        options.scratchFolder = folder
        let plan = Plan(for: Sample.inventory(), on: Sample.host, options: options)
        #expect(plan.refusals == [])
        #expect(plan.disks.map(\.overlayFolder) == [folder])
    }

    @Test func `an overlay is beside its disk, and that of a block device under /var/lib`() throws {
        #expect(Sample.plan().disks.map(\.overlayFolder) == ["/images"])
        var block = Sample.diskInventory(Sample.disk(path: "/dev/vg/lv", format: "raw"))
        // There is no block device that every machine has: a status of one is made from another's.
        var status = try FileStatus(of: "/dev/null")
        status.kind = .blockDevice
        block.status = status
        #expect(Sample.plan(Sample.inventory([block])).disks.map(\.overlayFolder) == ["/var/lib/virt-fsck/overlays"])
    }
}
