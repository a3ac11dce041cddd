/// Numbers of the system calls that ``SystemCallFilter`` looks at (asm/unistd_64.h, asm-generic/unistd.h).
enum SystemCall {
    #if arch(x86_64)
        static let ioctl: UInt32 = 16
        static let clone: UInt32 = 56
    #elseif arch(arm64)
        static let ioctl: UInt32 = 29
        static let clone: UInt32 = 220
    #endif
    static let clone3: UInt32 = 435
}

/// The system calls that no checker gets, whatever their arguments.
enum RefusedCalls {
    /// Their numbers on this architecture.
    static let all: [UInt32] = [files, processes, memory, partners, kernel].joined().compactMap { $0 }

    /// Another view of files: mounts, roots, namespaces, device nodes, handles that need no path.
    private static let files = [
        number(intel: 165, arm: 40),  // mount
        number(intel: 166, arm: 39),  // umount2
        number(intel: 155, arm: 41),  // pivot_root
        number(intel: 161, arm: 51),  // chroot
        number(intel: 428, arm: 428),  // open_tree
        number(intel: 429, arm: 429),  // move_mount
        number(intel: 430, arm: 430),  // fsopen
        number(intel: 431, arm: 431),  // fsconfig
        number(intel: 432, arm: 432),  // fsmount
        number(intel: 433, arm: 433),  // fspick
        number(intel: 442, arm: 442),  // mount_setattr
        number(intel: 272, arm: 97),  // unshare
        number(intel: 308, arm: 268),  // setns
        number(intel: 133, arm: nil),  // mknod
        number(intel: 259, arm: 33),  // mknodat
        number(intel: 167, arm: 224),  // swapon
        number(intel: 168, arm: 225),  // swapoff
        number(intel: 179, arm: 60),  // quotactl
        number(intel: 443, arm: 443),  // quotactl_fd
        number(intel: 303, arm: 264),  // name_to_handle_at
        number(intel: 304, arm: 265),  // open_by_handle_at
    ]

    /// Other processes: making them, looking into them.
    private static let processes = [
        number(intel: 57, arm: nil),  // fork
        number(intel: 58, arm: nil),  // vfork
        number(intel: 101, arm: 117),  // ptrace
        number(intel: 310, arm: 270),  // process_vm_readv
        number(intel: 311, arm: 271),  // process_vm_writev
        number(intel: 440, arm: 440),  // process_madvise
        number(intel: 434, arm: 434),  // pidfd_open
        number(intel: 438, arm: 438),  // pidfd_getfd
        number(intel: 424, arm: 424),  // pidfd_send_signal
        number(intel: 312, arm: 272),  // kcmp
        number(intel: 256, arm: 238),  // migrate_pages
        number(intel: 279, arm: 239),  // move_pages
    ]

    /// Memory that no limit of a process counts.
    private static let memory = [
        number(intel: 319, arm: 279),  // memfd_create
        number(intel: 447, arm: 447),  // memfd_secret
        number(intel: 29, arm: 194),  // shmget
        number(intel: 30, arm: 196),  // shmat
        number(intel: 68, arm: 186),  // msgget
        number(intel: 64, arm: 190),  // semget
        number(intel: 240, arm: 180),  // mq_open
    ]

    /// Anybody to talk to, a kernel's crypto and netlink included.
    private static let partners = [
        number(intel: 41, arm: 198),  // socket
        number(intel: 53, arm: 199),  // socketpair
    ]

    /// The kernel itself, and what holes were found in.
    private static let kernel = [
        number(intel: 321, arm: 280),  // bpf
        number(intel: 298, arm: 241),  // perf_event_open
        number(intel: 323, arm: 282),  // userfaultfd
        number(intel: 425, arm: 425),  // io_uring_setup
        number(intel: 426, arm: 426),  // io_uring_enter
        number(intel: 427, arm: 427),  // io_uring_register
        number(intel: 248, arm: 217),  // add_key
        number(intel: 249, arm: 218),  // request_key
        number(intel: 250, arm: 219),  // keyctl
        number(intel: 300, arm: 262),  // fanotify_init
        number(intel: 175, arm: 105),  // init_module
        number(intel: 313, arm: 273),  // finit_module
        number(intel: 176, arm: 106),  // delete_module
        number(intel: 246, arm: 104),  // kexec_load
        number(intel: 320, arm: 294),  // kexec_file_load
        number(intel: 169, arm: 142),  // reboot
        number(intel: 103, arm: 116),  // syslog
        number(intel: 163, arm: 89),  // acct
        number(intel: 172, arm: nil),  // iopl
        number(intel: 173, arm: nil),  // ioperm
        number(intel: 154, arm: nil),  // modify_ldt
        number(intel: 164, arm: 170),  // settimeofday
        number(intel: 227, arm: 112),  // clock_settime
        number(intel: 159, arm: 171),  // adjtimex
        number(intel: 305, arm: 266),  // clock_adjtime
        number(intel: 170, arm: 161),  // sethostname
        number(intel: 171, arm: 162),  // setdomainname
        number(intel: 153, arm: 58),  // vhangup
    ]

    /// A call's number on x86_64 and on arm64; nil where the architecture has none.
    private static func number(intel: UInt32, arm: UInt32?) -> UInt32? {
        #if arch(x86_64)
            intel
        #elseif arch(arm64)
            arm
        #endif
    }
}
