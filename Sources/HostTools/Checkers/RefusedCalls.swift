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
        number(x86_64: 165, arm64: 40),  // mount
        number(x86_64: 166, arm64: 39),  // umount2
        number(x86_64: 155, arm64: 41),  // pivot_root
        number(x86_64: 161, arm64: 51),  // chroot
        number(x86_64: 428, arm64: 428),  // open_tree
        number(x86_64: 429, arm64: 429),  // move_mount
        number(x86_64: 430, arm64: 430),  // fsopen
        number(x86_64: 431, arm64: 431),  // fsconfig
        number(x86_64: 432, arm64: 432),  // fsmount
        number(x86_64: 433, arm64: 433),  // fspick
        number(x86_64: 442, arm64: 442),  // mount_setattr
        number(x86_64: 272, arm64: 97),  // unshare
        number(x86_64: 308, arm64: 268),  // setns
        number(x86_64: 133, arm64: nil),  // mknod
        number(x86_64: 259, arm64: 33),  // mknodat
        number(x86_64: 167, arm64: 224),  // swapon
        number(x86_64: 168, arm64: 225),  // swapoff
        number(x86_64: 179, arm64: 60),  // quotactl
        number(x86_64: 443, arm64: 443),  // quotactl_fd
        number(x86_64: 303, arm64: 264),  // name_to_handle_at
        number(x86_64: 304, arm64: 265),  // open_by_handle_at
    ]

    /// Other processes: making them, looking into them.
    private static let processes = [
        number(x86_64: 57, arm64: nil),  // fork
        number(x86_64: 58, arm64: nil),  // vfork
        number(x86_64: 101, arm64: 117),  // ptrace
        number(x86_64: 310, arm64: 270),  // process_vm_readv
        number(x86_64: 311, arm64: 271),  // process_vm_writev
        number(x86_64: 440, arm64: 440),  // process_madvise
        number(x86_64: 434, arm64: 434),  // pidfd_open
        number(x86_64: 438, arm64: 438),  // pidfd_getfd
        number(x86_64: 424, arm64: 424),  // pidfd_send_signal
        number(x86_64: 312, arm64: 272),  // kcmp
        number(x86_64: 256, arm64: 238),  // migrate_pages
        number(x86_64: 279, arm64: 239),  // move_pages
    ]

    /// Memory that no limit of a process counts.
    private static let memory = [
        number(x86_64: 319, arm64: 279),  // memfd_create
        number(x86_64: 447, arm64: 447),  // memfd_secret
        number(x86_64: 29, arm64: 194),  // shmget
        number(x86_64: 30, arm64: 196),  // shmat
        number(x86_64: 68, arm64: 186),  // msgget
        number(x86_64: 64, arm64: 190),  // semget
        number(x86_64: 240, arm64: 180),  // mq_open
    ]

    /// Anybody to talk to, a kernel's crypto and netlink included.
    private static let partners = [
        number(x86_64: 41, arm64: 198),  // socket
        number(x86_64: 53, arm64: 199),  // socketpair
    ]

    /// The kernel itself, and what holes were found in.
    private static let kernel = [
        number(x86_64: 321, arm64: 280),  // bpf
        number(x86_64: 298, arm64: 241),  // perf_event_open
        number(x86_64: 323, arm64: 282),  // userfaultfd
        number(x86_64: 425, arm64: 425),  // io_uring_setup
        number(x86_64: 426, arm64: 426),  // io_uring_enter
        number(x86_64: 427, arm64: 427),  // io_uring_register
        number(x86_64: 248, arm64: 217),  // add_key
        number(x86_64: 249, arm64: 218),  // request_key
        number(x86_64: 250, arm64: 219),  // keyctl
        number(x86_64: 300, arm64: 262),  // fanotify_init
        number(x86_64: 175, arm64: 105),  // init_module
        number(x86_64: 313, arm64: 273),  // finit_module
        number(x86_64: 176, arm64: 106),  // delete_module
        number(x86_64: 246, arm64: 104),  // kexec_load
        number(x86_64: 320, arm64: 294),  // kexec_file_load
        number(x86_64: 169, arm64: 142),  // reboot
        number(x86_64: 103, arm64: 116),  // syslog
        number(x86_64: 163, arm64: 89),  // acct
        number(x86_64: 172, arm64: nil),  // iopl
        number(x86_64: 173, arm64: nil),  // ioperm
        number(x86_64: 154, arm64: nil),  // modify_ldt
        number(x86_64: 164, arm64: 170),  // settimeofday
        number(x86_64: 227, arm64: 112),  // clock_settime
        number(x86_64: 159, arm64: 171),  // adjtimex
        number(x86_64: 305, arm64: 266),  // clock_adjtime
        number(x86_64: 170, arm64: 161),  // sethostname
        number(x86_64: 171, arm64: 162),  // setdomainname
        number(x86_64: 153, arm64: 58),  // vhangup
    ]

    /// A call's number; nil where the architecture has none.
    private static func number(x86_64: UInt32, arm64: UInt32?) -> UInt32? {
        #if arch(x86_64)
            x86_64
        #elseif arch(arm64)
            arm64
        #endif
    }
}
