/// What a checker would do that a guest's filesystem has taken over, in Python: each attempt on a line of its own, `blocked`
/// or `THROUGH` in front. It runs as `python3 -c SCRIPT DEVICE`.
enum HostileChecker {
    /// How many attempts it makes: a program that died half-way proves nothing.
    static let attempts = 157

    static let script = preparations + files + devices + processes + kernel + network + memory + "report()\n"

    /// Only what does no harm without walls.
    static let socketsOnly = preparations + network + "report()\n"

    private static let preparations = #"""
        import ctypes, errno, fcntl, mmap, os, resource, signal, socket, stat, struct, sys, threading
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        machine = os.uname().machine
        lines = []

        def say(line):
            lines.append(line)
            print(line, flush=True)

        def attempt(name, work, refusals=None):
            """Blocked is what raises OSError; where refusals are given, only with one of them."""
            try:
                value = work()
            except (OSError, MemoryError, RuntimeError, ValueError) as error:
                code = getattr(error, "errno", None)
                if refusals is None or code in refusals:
                    say("blocked %s: %s" % (name, error))
                else:
                    say("THROUGH %s: not refused, but: %s" % (name, error))
            else:
                say("THROUGH %s: %r" % (name, value))

        def check(name, isFine, value):
            say("%s %s: %r" % ("blocked" if isFine else "THROUGH", name, value))

        def call(function, *arguments):
            ctypes.set_errno(0)
            result = function(*arguments)
            if result == -1:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return result

        def system(x86, arm, *arguments):
            number = x86 if machine == "x86_64" else arm
            return call(libc.syscall, ctypes.c_long(number), *arguments)

        REFUSED = (errno.EPERM, errno.ENOSYS)
        buffer = ctypes.create_string_buffer(4096)
        device = os.open(sys.argv[1], os.O_RDWR)

        def report():
            print("attempts %d" % len(lines))


        """#

    private static let files = #"""
        def opened(path, flags=os.O_RDONLY):
            os.close(os.open(path, flags))
            return "opened"

        for path in ["/etc/shadow", "/etc/passwd", "/etc/ssh", "/root", "/home", "/var", "/var/lib/libvirt", "/run", "/tmp",
                     "/boot", "/sys", "/sys/kernel", "/sys/fs/cgroup", "/proc/self", "/proc/1/root", "/proc/sys",
                     "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/kcore", "/dev/mem", "/dev/kmem",
                     "/dev/port", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/loop0", "/dev/loop-control", "/dev/nbd0",
                     "/dev/mapper/control", "/dev/kvm", "/dev/fuse", "/dev/tty", "/dev/console", "/dev/ptmx", "/dev/shm",
                     "/dev/net/tun", "/dev/virt-fsck", "/dev/mqueue"]:
            attempt("open " + path, lambda: opened(path))
        for folder in ["/", "/dev", "/etc", "/proc", "/usr", "/usr/bin", "/usr/local", "/bin", "/lib", "/tmp", "/dev/shm"]:
            attempt("create in " + folder, lambda: opened(folder + "/hostile", os.O_CREAT | os.O_WRONLY))
        attempt("write a program of the host", lambda: opened("/usr/bin/python3", os.O_WRONLY))
        attempt("chmod of a program", lambda: os.chmod("/usr/bin/env", 0o4755))
        attempt("chown of the device", lambda: os.chown(sys.argv[1], 0, 0))
        attempt("rename of the device", lambda: os.rename(sys.argv[1], "/dev/other"))
        attempt("unlink of the device", lambda: os.unlink(sys.argv[1]))
        found = []
        for top, folders, names in os.walk("/"):
            if os.statvfs(top).f_flag & os.ST_RDONLY:
                folders.clear()
                continue
            found += [top] if os.access(top, os.W_OK) else []
            found += [top + "/" + n for n in names if os.access(top + "/" + n, os.W_OK)]
        mine = {sys.argv[1], "/dev/null", "/proc/mounts"}
        found = [path for path in found if path.replace("//", "/") not in mine]
        check("anything else that can be written", found == [], found)
        readable = []
        for number in range(4096):
            if number in (1, 2, device): continue
            try: readable.append((number, os.fstat(number).st_mode))
            except OSError: pass
        check("inherited descriptors", readable == [], readable)
        for number in (1, 2):
            check("descriptor %d is a pipe" % number, stat.S_ISFIFO(os.fstat(number).st_mode), number)
            attempt("read from descriptor %d" % number, lambda: os.read(number, 1))


        """#

    private static let devices = #"""
        for name, kind in [("block", stat.S_IFBLK), ("character", stat.S_IFCHR)]:
            attempt("mknod of a %s device" % name, lambda: os.mknod("/dev/hostile", 0o600 | kind, os.makedev(8, 0)), REFUSED)
        for name, request in [("LOOP_SET_FD", 0x4C00), ("LOOP_CLR_FD", 0x4C01), ("LOOP_SET_STATUS", 0x4C02),
                              ("LOOP_GET_STATUS", 0x4C03), ("LOOP_SET_STATUS64", 0x4C04), ("LOOP_CHANGE_FD", 0x4C06),
                              ("LOOP_SET_CAPACITY", 0x4C07), ("LOOP_SET_DIRECT_IO", 0x4C08), ("LOOP_CONFIGURE", 0x4C0A),
                              ("NBD_SET_SOCK", 0xAB00), ("NBD_SET_SIZE", 0xAB02), ("NBD_DO_IT", 0xAB03),
                              ("NBD_CLEAR_SOCK", 0xAB04), ("NBD_DISCONNECT", 0xAB08), ("DM_VERSION", 0xC138FD00),
                              ("SG_IO", 0x2285), ("TIOCSTI", 0x5412), ("TIOCLINUX", 0x541C)]:
            attempt(name, lambda: call(libc.ioctl, device, ctypes.c_ulong(request), buffer), REFUSED)
        for name, request in [("BLKRRPART", 0x125F), ("BLKPG", 0x1269), ("BLKROSET", 0x125D)]:
            attempt(name, lambda: call(libc.ioctl, device, ctypes.c_ulong(request), buffer))


        """#

    private static let processes = #"""
        NEWNS, NEWUSER, NEWNET = 0x20000, 0x10000000, 0x40000000

        def forked():
            pid = os.fork()
            if pid == 0: os._exit(0)
            os.waitpid(pid, 0)
            return pid

        def cloned(flags):
            result = system(56, 220, ctypes.c_long(flags | signal.SIGCHLD), None, None, None, None)
            if result == 0: os._exit(0)
            return result

        attempt("fork", forked, REFUSED)
        attempt("vfork", lambda: system(58, 220, ctypes.c_long(signal.SIGCHLD), None, None, None, None), REFUSED)
        attempt("clone", lambda: cloned(0), REFUSED)
        attempt("clone with a user namespace", lambda: cloned(NEWUSER), REFUSED)
        attempt("clone3", lambda: system(435, 435, buffer, ctypes.c_long(64)), REFUSED)
        attempt("posix_spawn", lambda: os.posix_spawn("/usr/bin/env", ["env"], {}), REFUSED)
        attempt("unshare of the user namespace", lambda: call(libc.unshare, NEWUSER), REFUSED)
        attempt("unshare of the mount namespace", lambda: call(libc.unshare, NEWNS), REFUSED)
        attempt("setns", lambda: call(libc.setns, device, 0), REFUSED)
        attempt("mount", lambda: call(libc.mount, b"none", b"/dev", b"tmpfs", 0, None), REFUSED)
        attempt("umount", lambda: call(libc.umount2, b"/usr", 2), REFUSED)
        attempt("pivot_root", lambda: system(155, 41, b"/", b"/"), REFUSED)
        attempt("chroot", lambda: os.chroot("/usr"), REFUSED)
        attempt("fsopen", lambda: system(430, 430, b"tmpfs", ctypes.c_long(0)), REFUSED)
        attempt("open_tree", lambda: system(428, 428, ctypes.c_long(-100), b"/", ctypes.c_long(1)), REFUSED)
        attempt("name_to_handle_at", lambda: system(303, 264, ctypes.c_long(-100), b"/", buffer, buffer, ctypes.c_long(0)),
                REFUSED)
        attempt("PTRACE_TRACEME", lambda: call(libc.ptrace, 0, 0, None, None), REFUSED)
        attempt("PTRACE_ATTACH", lambda: call(libc.ptrace, 16, 1, None, None), REFUSED)
        attempt("process_vm_readv", lambda: system(310, 270, ctypes.c_long(os.getpid()), None, ctypes.c_long(0), None,
                                                   ctypes.c_long(0), ctypes.c_long(0)), REFUSED)
        attempt("pidfd_open", lambda: system(434, 434, ctypes.c_long(os.getpid()), ctypes.c_long(0)), REFUSED)
        attempt("kill of the walls", lambda: os.kill(1, signal.SIGKILL))
        attempt("kill of everybody", lambda: os.kill(-1, signal.SIGTERM))
        reached = []
        for pid in range(1, 65536):
            if pid == os.getpid(): continue
            try:
                os.kill(pid, 0)
                reached.append(pid)
            except OSError: pass
        check("other processes that can be signalled", reached == [], reached)
        attempt("a better nice value", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
        attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
        attempt("setuid", lambda: os.setuid(0))
        attempt("setresuid", lambda: os.setresuid(0, 0, 0))
        attempt("setgid", lambda: os.setgid(0))
        attempt("setgroups", lambda: os.setgroups([0]))
        check("ids", {os.getuid(), os.geteuid(), os.getgid(), os.getegid()} == {61184}, os.getresuid())
        check("no_new_privs", libc.prctl(39, 0, 0, 0, 0) == 1, libc.prctl(39, 0, 0, 0, 0))
        bounding = [c for c in range(64) if libc.prctl(24, c, 0, 0, 0) == 1]
        check("bounding set", bounding == [], bounding)
        header, data = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
        libc.capget(header, data)
        check("capabilities", data.raw == bytes(24), data.raw)


        """#

    private static let kernel = #"""
        attempt("bpf", lambda: system(321, 280, ctypes.c_long(0), buffer, ctypes.c_long(72)), REFUSED)
        attempt("perf_event_open", lambda: system(298, 241, buffer, ctypes.c_long(0), ctypes.c_long(-1), ctypes.c_long(-1),
                                                  ctypes.c_long(0)), REFUSED)
        attempt("userfaultfd", lambda: system(323, 282, ctypes.c_long(1)), REFUSED)
        attempt("io_uring_setup", lambda: system(425, 425, ctypes.c_long(8), buffer), REFUSED)
        attempt("add_key", lambda: system(248, 217, b"user", b"hostile", b"x", ctypes.c_long(1), ctypes.c_long(-3)), REFUSED)
        attempt("keyctl", lambda: system(250, 219, ctypes.c_long(0), ctypes.c_long(-3), ctypes.c_long(1)), REFUSED)
        attempt("init_module", lambda: system(175, 105, buffer, ctypes.c_long(0), b""), REFUSED)
        attempt("kexec_load", lambda: system(246, 104, ctypes.c_long(0), ctypes.c_long(0), None, ctypes.c_long(0)), REFUSED)
        attempt("syslog", lambda: system(103, 116, ctypes.c_long(3), buffer, ctypes.c_long(4096)), REFUSED)
        attempt("reboot", lambda: system(169, 142, ctypes.c_long(0), ctypes.c_long(0), ctypes.c_long(0)), REFUSED)
        attempt("quotactl", lambda: system(179, 60, ctypes.c_long(0x80000100), None, ctypes.c_long(0), None), REFUSED)
        attempt("sethostname", lambda: socket.sethostname("hostile"), REFUSED)
        attempt("clock_settime", lambda: system(227, 112, ctypes.c_long(0), buffer), REFUSED)
        attempt("acct", lambda: system(163, 89, None), REFUSED)


        """#

    private static let network = #"""
        for name, family, kind in [("AF_INET", 2, 1), ("AF_INET6", 10, 2), ("AF_UNIX", 1, 1), ("AF_NETLINK", 16, 3),
                                   ("AF_PACKET", 17, 3), ("AF_ALG", 38, 5), ("AF_VSOCK", 40, 1)]:
            attempt("socket " + name, lambda: socket.socket(family, kind), REFUSED)
        attempt("socketpair", socket.socketpair, REFUSED)


        """#

    private static let memory = #"""
        limit = resource.getrlimit(resource.RLIMIT_AS)
        check("a limit of memory", limit[0] == limit[1] == 1 << 30, limit)
        check("core dumps", resource.getrlimit(resource.RLIMIT_CORE) == (1, 1), resource.getrlimit(resource.RLIMIT_CORE))
        for name in ["AS", "CORE", "NOFILE", "NPROC", "MEMLOCK", "RTPRIO"]:
            which = getattr(resource, "RLIMIT_" + name, 14)
            attempt("a higher limit of " + name, lambda: resource.setrlimit(which, (1 << 40, 1 << 40)))
        attempt("more memory than the limit", lambda: mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        attempt("more shared memory than the limit", lambda: mmap.mmap(-1, 1 << 30))
        attempt("memory in pieces", lambda: [bytearray(1 << 24) for _ in range(64)])
        attempt("memfd_create", lambda: os.memfd_create("hostile"), REFUSED)
        attempt("memfd_secret", lambda: system(447, 447, ctypes.c_long(0)), REFUSED)
        attempt("shmget", lambda: call(libc.shmget, 0, ctypes.c_size_t(1 << 20), 0o1600), REFUSED)
        attempt("msgget", lambda: call(libc.msgget, 0, 0o1600), REFUSED)
        attempt("semget", lambda: call(libc.semget, 0, 1, 0o1600), REFUSED)
        attempt("mq_open", lambda: system(240, 180, b"hostile", ctypes.c_long(0o102), ctypes.c_long(0o600), None), REFUSED)

        def threads():
            end = threading.Event()
            started = []
            try:
                for _ in range(10000):
                    thread = threading.Thread(target=end.wait)
                    thread.start()
                    started.append(thread)
            finally:
                end.set()
                for thread in started: thread.join()
            return len(started)

        def pipes():
            ends = []
            try:
                while len(ends) < 10000: ends += os.pipe()
            finally:
                for end in ends: os.close(end)

        attempt("ten thousand threads", threads)
        attempt("ten thousand descriptors", pipes)


        """#
}
