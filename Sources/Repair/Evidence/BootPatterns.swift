/// The phrases that tell whether a guest boots.
///
/// Each was found in the source or the binary of the program that prints it, or, where its source isn't public, in transcripts
/// of it; `source` says which. They are what an English or C locale prints. That is enough: firmware, boot loaders, kernels
/// and initial ramdisks have no other; of systemd and agetty neither status lines nor the prompt are translated. sulogin's
/// question is where the guest sets a locale for services: systemd's "You are in emergency mode" before it is not.
///
/// What fails in a harmless way every day is not here: GRUB's `error:` lines and SeaBIOS's "Boot failed" are printed on the way
/// to a boot that works, so only what they wait at in the end counts.
enum BootPatterns {
    static let all = firmware + bootLoaders + kernel + filesystems + initialRamdisks + checks + services + otherSystems

    private static let firmware = [
        BootPattern(
            "firmware banner", .start, .beginning, "SeaBIOS (version ", systems: "BIOS guests",
            source: "SeaBIOS 1.16.2, src/bootsplash.c; recorded"),
        BootPattern(
            "no bootable device", .failed, .beginning, "No bootable device.", systems: "BIOS guests",
            source: "SeaBIOS 1.16.2, src/boot.c; recorded"),
        BootPattern(
            "no bootable device", .failed, .beginning, "BdsDxe: No bootable option or device was found",
            systems: "UEFI guests", source: "edk2, MdeModulePkg/Universal/BdsDxe/BdsEntry.c; seen in transcripts"),
        BootPattern(
            "UEFI shell", .failed, .beginning, "UEFI Interactive Shell v", systems: "UEFI guests",
            source: "edk2 2022.11, ShellPkg; recorded"),
        BootPattern(
            "boot option not found", .hint, .beginning, "BdsDxe: failed to load Boot", systems: "UEFI guests",
            source: "edk2 2022.11, MdeModulePkg/Universal/BdsDxe; recorded"),
        BootPattern(
            "disk not bootable", .hint, .beginning, "Boot failed: not a bootable disk", systems: "BIOS guests",
            source: "SeaBIOS 1.16.2, src/boot.c; recorded"),
        BootPattern(
            "disk not readable", .hint, .beginning, "Boot failed: could not read the boot disk", systems: "BIOS guests",
            source: "SeaBIOS 1.16.2, src/boot.c; recorded"),
    ]

    private static let bootLoaders = [
        BootPattern(
            "boot loader banner", .start, .beginning, "Welcome to GRUB!", systems: "Linux",
            source: "GRUB 2.06, grub-core/kern/main.c; recorded"),
        BootPattern(
            "grub rescue", .failed, .beginning, "grub rescue>", systems: "Linux",
            source: "GRUB 2.06, grub-core/kern/rescue_reader.c; recorded"),
        BootPattern(
            "grub prompt", .failed, .beginning, "Minimal BASH-like line editing is supported.", systems: "Linux",
            source: "GRUB 2.06, grub-core/normal/main.c (normal.mod)"),
        BootPattern(
            "grub found nothing to boot", .failed, .beginning, "Failed to boot both default and fallback entries.",
            systems: "Linux", source: "GRUB 2.06, grub-core/normal/menu.c (normal.mod)"),
        BootPattern(
            "grub error", .hint, .beginning, "error: no such device", systems: "Linux",
            source: "GRUB 2.06, grub-core/commands/search.c, kern/device.c"),
        BootPattern(
            "grub error", .hint, .beginning, "error: no such partition", systems: "Linux",
            source: "GRUB 2.06, grub-core/kern/partition.c"),
        BootPattern(
            "grub error", .hint, .beginning, "error: unknown filesystem", systems: "Linux",
            source: "GRUB 2.06, grub-core/kern/fs.c; recorded"),
        BootPattern(
            "grub error", .hint, .beginning, "error: attempt to read or write outside of", systems: "Linux",
            source: "GRUB 2.06, grub-core/kern/disk.c"),
        BootPattern(
            "grub error", .hint, .beginning, "error: file `", also: "' not found.", systems: "Linux",
            source: "GRUB 2.06, grub-core/kern/fs.c"),
    ]

    private static let kernel = [
        BootPattern(
            "kernel banner", .start, .kernel, "Linux version ", systems: "Linux",
            source: "Linux 6.1, init/version.c (linux_banner)"),
        BootPattern(
            "kernel panic", .fatal, .kernel, "Kernel panic - not syncing", systems: "Linux",
            source: "Linux 6.1, kernel/panic.c; recorded"),
        BootPattern(
            "kernel panic", .fatal, .kernel, "---[ end Kernel panic - not syncing", systems: "Linux",
            source: "Linux 6.1, kernel/panic.c; recorded"),
        BootPattern(
            "root device not found", .hint, .kernel, "VFS: Cannot open root device", systems: "Linux",
            source: "Linux 6.1, init/do_mounts.c"),
        BootPattern(
            "restart", .shutdown, .kernel, "reboot: Restarting system", systems: "Linux",
            source: "Linux 6.1, kernel/reboot.c"),
        BootPattern(
            "power down", .shutdown, .kernel, "reboot: Power down", systems: "Linux",
            source: "Linux 6.1, kernel/reboot.c"),
        BootPattern(
            "halt", .shutdown, .kernel, "reboot: System halted", systems: "Linux",
            source: "Linux 6.1, kernel/reboot.c"),
    ]

    private static let filesystems =
        [
            ("EXT4-fs error (device ", nil, "fs/ext4/super.c (__ext4_error)"),
            ("EXT4-fs (", ": Remounting filesystem read-only", "fs/ext4/super.c (ext4_handle_error)"),
            ("EXT4-fs (", "mounting fs with errors", "fs/ext4/super.c (ext4_setup_super)"),
            ("EXT3-fs error (device ", nil, "fs/ext3/super.c of Linux 4.2"),
            ("EXT2-fs (", "): error: ", "fs/ext2/super.c (ext2_error)"),
            ("Aborting journal on device ", nil, "fs/jbd2/journal.c"),
            ("XFS (", "orruption", "fs/xfs/xfs_error.c, xfs_fsops.c: Metadata corruption detected, Corruption of …"),
            ("XFS (", "): Internal error ", "fs/xfs/xfs_error.c"),
            ("XFS (", "): metadata I/O error in ", "fs/xfs/xfs_buf.c"),
            ("XFS (", "ilesystem has been shut down", "fs/xfs/xfs_fsops.c"),
            ("BTRFS error (device ", nil, "fs/btrfs/messages.h"),
            ("BTRFS critical (device ", nil, "fs/btrfs/messages.h"),
            ("BTRFS: error (device ", nil, "fs/btrfs/messages.c (__btrfs_handle_fs_error)"),
            ("FAT-fs (", "): error, ", "fs/fat/misc.c (__fat_fs_error)"),
        ].map { phrase, also, source in
            BootPattern(
                BootEvidence.damage, .damaged, .kernel, phrase, also: also, systems: "Linux",
                source: "Linux 6.1, \(source)")
        }

    private static let initialRamdisks = [
        BootPattern(
            "initramfs shell", .failed, .beginning, "(initramfs)", systems: "Debian, Ubuntu",
            source: "initramfs-tools 0.142, scripts/functions (panic); recorded"),
        BootPattern(
            "root device not found", .hint, .message, "ALERT!  ", systems: "Debian, Ubuntu",
            source: "initramfs-tools 0.142, scripts/local; recorded"),
        BootPattern(
            "manual check required", .hint, .anywhere, "requires a manual fsck", systems: "Debian, Ubuntu",
            source: "initramfs-tools 0.142, scripts/functions (_checkfs_once); recorded"),
        BootPattern(
            "root filesystem not mounted", .hint, .beginning, "Failed to mount ", also: " as root file system.",
            systems: "Debian, Ubuntu", source: "initramfs-tools 0.142, scripts/local"),
        BootPattern(
            "no init", .hint, .beginning, "No init found. Try passing init= bootarg.", systems: "Debian, Ubuntu",
            source: "initramfs-tools 0.142, init"),
        BootPattern(
            "dracut shell", .failed, .message, "Entering emergency mode. Exit the shell to continue.",
            systems: "RHEL, Fedora, SUSE, openEuler", source: "dracut 059, modules.d/98dracut-systemd, 99base"),
        BootPattern(
            "dracut shell", .failed, .beginning, "dracut:/", also: "#", systems: "RHEL, Fedora, SUSE, openEuler",
            source: "dracut 059, modules.d/99base/dracut-lib.sh (PS1)"),
        BootPattern(
            "dracut shell", .failed, .beginning, "switch_root:/", also: "#", systems: "RHEL, Fedora, SUSE, openEuler",
            source: "dracut 059, modules.d/99base/init.sh (PS1)"),
        BootPattern(
            "root device not found", .hint, .anywhere, "Warning: Could not boot.",
            systems: "RHEL, Fedora, SUSE, openEuler", source: "dracut 059, modules.d/98dracut-systemd"),
        BootPattern(
            "initramfs shell", .failed, .beginning, "You are now being dropped into an emergency shell.",
            systems: "Arch Linux", source: "mkinitcpio, init_functions; seen in transcripts"),
        BootPattern(
            "initramfs shell", .failed, .anywhere, "initramfs emergency recovery shell launched",
            systems: "Alpine Linux", source: "mkinitfs, initramfs-init.in; seen in transcripts"),
        BootPattern(
            "initramfs shell", .failed, .anywhere, "Launching emergency recovery shell", systems: "Alpine Linux",
            source: "mkinitfs, initramfs-init.in; seen in transcripts"),
        BootPattern(
            "initramfs shell", .failed, .anywhere, "Launching Emergency recovery shell", systems: "Alpine Linux",
            source: "mkinitfs, initramfs-init.in; seen in transcripts"),
    ]

    private static let checks = [
        BootPattern(
            "unexpected inconsistency", .failed, .message, "UNEXPECTED INCONSISTENCY; RUN fsck", also: "MANUALLY",
            systems: "Linux, BSD", source: "e2fsprogs 1.47.0, e2fsck/util.c; recorded; fsck_ffs of the BSDs"),
        BootPattern(
            "unexpected inconsistency", .failed, .message, "UNEXPECTED SOFT UPDATE INCONSISTENCY; RUN fsck",
            also: "MANUALLY", systems: "FreeBSD", source: "FreeBSD, sbin/fsck_ffs/fsutil.c"),
        BootPattern(
            "maintenance shell", .failed, .anywhere, "A maintenance shell will now be started.", systems: "sysvinit",
            source: "initscripts 3.06, checkroot.sh, checkfs.sh"),
        BootPattern(
            "maintenance shell", .failed, .beginning, "Give root password for maintenance", systems: "Linux",
            source: "util-linux 2.38, login-utils/sulogin.c"),
        BootPattern(
            "maintenance shell", .failed, .beginning, "Give root password for system maintenance", systems: "Linux",
            source: "busybox 1.35, loginutils/sulogin.c"),
        BootPattern(
            "maintenance shell", .failed, .beginning, "Press Enter for maintenance", systems: "Linux",
            source: "util-linux 2.38, login-utils/sulogin.c"),
        BootPattern(
            "maintenance shell", .failed, .beginning, "Cannot open access to console, the root account is locked.",
            systems: "Linux", source: "util-linux 2.38, login-utils/sulogin.c"),
    ]

    private static let services = [
        BootPattern(
            "emergency mode", .failed, .beginning, "You are in emergency mode.", systems: "Linux with systemd",
            source: "systemd 252, src/sulogin-shell/sulogin-shell.c"),
        BootPattern(
            "rescue mode", .failed, .beginning, "You are in rescue mode.", systems: "Linux with systemd",
            source: "systemd 252, src/sulogin-shell/sulogin-shell.c"),
        BootPattern(
            "emergency mode", .failed, .beginning, "Welcome to emergency mode!", systems: "RHEL 7, Debian 8",
            source: "systemd 219, units/emergency.service.in"),
        BootPattern(
            "rescue mode", .failed, .beginning, "Welcome to rescue mode!", systems: "RHEL 7, Debian 8",
            source: "systemd 219, units/rescue.service.in"),
        BootPattern(
            "emergency mode", .failed, .message, "Reached target Emergency Mode", systems: "Linux with systemd",
            source: "systemd 252, units/emergency.target"),
        BootPattern(
            "emergency mode", .failed, .message, "Reached target emergency.target", systems: "Linux with systemd",
            source: "systemd 252, src/core/job.c, units/emergency.target"),
        BootPattern(
            "rescue mode", .failed, .message, "Reached target Rescue Mode", systems: "Linux with systemd",
            source: "systemd 252, units/rescue.target"),
        BootPattern(
            "rescue mode", .failed, .message, "Reached target rescue.target", systems: "Linux with systemd",
            source: "systemd 252, src/core/job.c, units/rescue.target"),
        BootPattern(
            "init stopped", .fatal, .message, "Freezing execution", systems: "Linux with systemd",
            source: "systemd 252, src/core/main.c"),
        BootPattern(
            "not mounted", .hint, .message, "Failed to mount ", systems: "Linux with systemd",
            source: "systemd 252, src/core/mount.c"),
        BootPattern(
            "dependency failed", .hint, .message, "Dependency failed for ", systems: "Linux with systemd",
            source: "systemd 252, src/core/job.c"),
        BootPattern(
            "device not found", .hint, .message, "Timed out waiting for device ", systems: "Linux with systemd",
            source: "systemd 252, src/core/device.c"),
        BootPattern(
            "target reached", .booted, .message, "Reached target Multi-User System", systems: "Linux with systemd",
            source: "systemd 252, units/multi-user.target"),
        BootPattern(
            "target reached", .booted, .message, "Reached target multi-user.target", systems: "Linux with systemd",
            source: "systemd 252, src/core/job.c, units/multi-user.target"),
        BootPattern(
            "target reached", .booted, .message, "Reached target Graphical Interface", systems: "Linux with systemd",
            source: "systemd 252, units/graphical.target"),
        BootPattern(
            "target reached", .booted, .message, "Reached target graphical.target", systems: "Linux with systemd",
            source: "systemd 252, src/core/job.c, units/graphical.target"),
        BootPattern(
            "start-up finished", .finished, .message, "Startup finished in ", also: "(userspace)",
            systems: "Linux with systemd", source: "systemd 252, src/core/manager.c"),
        BootPattern(
            "restart", .shutdown, .message, "Reached target System Reboot", systems: "Linux with systemd",
            source: "systemd 252, units/reboot.target"),
        BootPattern(
            "restart", .shutdown, .message, "Reached target reboot.target", systems: "Linux with systemd",
            source: "systemd 252, src/core/job.c, units/reboot.target"),
        BootPattern(
            "power down", .shutdown, .message, "Reached target System Power Off", systems: "Linux with systemd",
            source: "systemd 252, units/poweroff.target"),
        BootPattern(
            "power down", .shutdown, .message, "Reached target poweroff.target", systems: "Linux with systemd",
            source: "systemd 252, src/core/job.c, units/poweroff.target"),
        BootPattern(
            "cloud-init finished", .finished, .anywhere, "Cloud-init v. ", also: " finished at ",
            systems: "cloud images", source: "cloud-init, cloudinit/config/cc_final_message.py"),
        BootPattern(
            "SELinux relabels every file", .work, .message, "*** Relabeling could take a very long time",
            systems: "RHEL, Fedora", source: "policycoreutils 3.4, selinux-autorelabel; initscripts, rc.sysinit"),
        BootPattern(
            "login prompt", .booted, .login, "login:", systems: "Linux, BSD",
            source: "util-linux 2.38, term-utils/agetty.c; busybox 1.35, loginutils; getty of the BSDs; recorded"),
        BootPattern(
            "console ready", .finished, .beginning, "Please press Enter to activate this console.",
            systems: "busybox init", source: "busybox 1.35, init/init.c"),
    ]

    private static let otherSystems = [
        BootPattern(
            "check failed", .failed, .beginning, "Automatic file system check failed; help!", systems: "BSD",
            source: "FreeBSD, libexec/rc/rc.d/fsck"),
        BootPattern(
            "single-user shell", .failed, .beginning, "Enter full pathname of shell or RETURN for /bin/sh:",
            systems: "FreeBSD", source: "FreeBSD, sbin/init/init.c; seen in transcripts"),
        BootPattern(
            "single-user shell", .failed, .beginning, "Enter pathname of shell or RETURN for ",
            systems: "NetBSD, OpenBSD", source: "NetBSD, sbin/init/init.c; seen in transcripts"),
        BootPattern(
            "root filesystem not found", .failed, .beginning, "mountroot>", systems: "FreeBSD",
            source: "FreeBSD, sys/kern/vfs_mountroot.c"),
        BootPattern(
            "kernel panic", .fatal, .beginning, "Automatic reboot in ",
            also: "press a key on the console to abort", systems: "FreeBSD",
            source: "FreeBSD, sys/kern/kern_shutdown.c (shutdown_panic)"),
        BootPattern(
            "Windows boot manager", .failed, .anywhere, "Windows failed to start. A recent hardware or software change",
            systems: "Windows", source: "Windows boot manager; seen in transcripts"),
    ]
}
