import Foundation
import TestSupport

/// A host of its own: the disks, the overlays beside them, virt-fsck's journal and libvirt's configuration are on one ext4
/// filesystem, which is mounted in a mount namespace; a libvirtd of its own serves it. What else a host has in memory
/// (/run) is empty in the beginning, as after a power cut.
struct World: Sendable {
    let patient: Patient

    private var shop: Workshop { patient.shop }

    /// Makes the filesystem with everything on it.
    func makeFilesystem(at image: String) async throws {
        let tree = "\(shop.folder)/tree"
        for folder in ["etc/qemu", "lib", "virt-fsck"] {
            try FileManager.default.createDirectory(atPath: "\(tree)/\(folder)", withIntermediateDirectories: true)
        }
        try await Tool.output(of: "cp", ["-a", shop.disks, "\(tree)/disks"])
        try patient.definition.text.write(
            toFile: "\(tree)/etc/qemu/\(shop.name).xml", atomically: true, encoding: .utf8)
        try "".write(toFile: "\(tree)/etc/libvirtd.conf", atomically: true, encoding: .utf8)
        try "stdio_handler = \"file\"\nnamespaces = []\nsecurity_driver = \"none\"\n"
            .write(toFile: "\(tree)/etc/qemu.conf", atomically: true, encoding: .utf8)
        try await Tool.output(
            of: "mke2fs",
            [
                "-q", "-F", "-t", "ext4", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0",
                "-d", tree, image, "128M",
            ])
        try FileManager.default.removeItem(atPath: tree)
    }

    /// Runs a bash script in the world that is on an image.
    ///
    /// - Parameters:
    ///   - results: a folder for what the script leaves, `$results`.
    ///   - recording: where everything that is written is logged; nil where it is not.
    ///   - script: `libvirt` starts the daemon, `virt_fsck WORD…` runs the program, `guest_view` looks at the disks, `$name`
    ///     is the domain, `$world` the filesystem.
    func run(
        on image: String, results: String, recording log: String? = nil, _ script: String
    ) async throws -> ToolResult {
        guard let program = VirtFsck.program else { throw ToolError(description: "virt-fsck is not built") }
        try FileManager.default.createDirectory(atPath: results, withIntermediateDirectories: true)
        let host = Self.functions + GuestView.function + Self.mounts + script + Self.end
        return try await Tool.run(
            "timeout",
            [
                "--kill-after=5", "180", "bash", "-c", Self.functions + Self.device, "bash", image, results, log ?? "",
                host, shop.disks, PrivateLibvirt.shared.cache, program, shop.name, KillSwitch.library ?? "",
            ])
    }

    private static let functions = #"""
        set -euo pipefail
        wait_for() {
          local end=$((SECONDS + 30))
          until "$@"; do
            ((SECONDS < end)) || { echo "never came true: $*" >&2; return 1; }
            sleep 0.02
          done
        }

        """#

    /// The device below the world. What writes its log is QEMU's blklogwrites below a FUSE file; the loop device over it has
    /// no direct I/O: so its requests come one after the other, and a flush after what it covers.
    ///
    /// The recorder stays outside of the world's mount namespace: as the last process in it, it would have to unmount, as it
    /// dies, what can't be unmounted without it.
    private static let device = #"""
        image=$1 results=$2 log=$3 host=$4
        shift 4
        loop= recorder=
        close_device() {
          [ -z "$loop" ] || losetup --detach "$loop" || true
          [ -z "$recorder" ] || { kill "$recorder" && wait "$recorder"; } || true
        }
        trap close_device EXIT
        if [ -n "$log" ]; then
          : >"$log"
          : >"$results/device"
          qemu-storage-daemon --blockdev driver=file,node-name=image,filename="$image" \
            --blockdev driver=file,node-name=log,filename="$log" \
            --blockdev driver=blklogwrites,node-name=recorder,file=image,log=log \
            --export type=fuse,id=device,node-name=recorder,mountpoint="$results/device",writable=on \
            >"$results/recorder.log" 2>&1 </dev/null &
          recorder=$!
          wait_for test -s "$results/device"
          image=$results/device
        fi
        loop=$(losetup --find --show "$image")
        unshare --mount --propagation private bash -c "$host" bash "$loop" "$results" "$@"
        """#

    private static let mounts = #"""
        device=$1 results=$2 disks=$3 cache=$4 program=$5 name=$6 kill_switch=$7
        world=$results/world
        libvirtd=
        libvirt() {
          libvirtd --pid-file /run/libvirt/libvirtd.pid >"$results/libvirtd.log" 2>&1 </dev/null &
          libvirtd=$!
          wait_for test -S /run/libvirt/libvirt-sock
        }
        stop_libvirt() {
          [ -n "$libvirtd" ] || return 0
          kill "$libvirtd" || true
          wait "$libvirtd" || true
          libvirtd=
        }
        virt_fsck() {
          timeout --kill-after=5 120 "$program" "$@" --connect qemu:///system
        }
        # What a killed run has started: of all processes in this namespace those that carry a run's mark.
        kill_programs() {
          local process
          for process in /proc/[0-9]*; do
            [ "$(readlink "$process/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ] || continue
            tr '\0' '\n' <"$process/environ" | grep -q '^VIRT_FSCK_RUN=' || continue
            kill -KILL "${process#/proc/}" || true
          done
        }
        # Where the script failed: whoever is left would hold the namespace, and with it the device.
        give_up() {
          set +e
          kill_programs
          stop_libvirt
        }
        trap give_up EXIT
        mkdir -p "$world" /etc/libvirt /var/{lib,cache,log}/libvirt /run/libvirt /var/lib/virt-fsck /run/virt-fsck
        mount "$device" "$world"
        mount --bind "$world/etc" /etc/libvirt
        mount --bind "$world/lib" /var/lib/libvirt
        mount --bind "$world/virt-fsck" /var/lib/virt-fsck
        mount --bind "$world/disks" "$disks"
        mount -t tmpfs tmpfs /run/libvirt
        mount -t tmpfs tmpfs /var/log/libvirt
        mount --bind "$cache" /var/cache/libvirt
        mount -t tmpfs tmpfs /run/virt-fsck

        """#

    private static let end = #"""

        stop_libvirt
        for folder in /run/virt-fsck /var/cache/libvirt /var/log/libvirt /run/libvirt "$disks" /var/lib/virt-fsck \
          /var/lib/libvirt /etc/libvirt "$world"; do
          umount "$folder"
        done
        """#
}
