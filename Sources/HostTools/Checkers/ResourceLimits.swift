import Glibc

/// What a confined program may take of the host, as prlimit(1) sets it.
public struct ResourceLimits: Hashable, Sendable {
    /// How much address space a process may have, in bytes (RLIMIT_AS).
    public var memory: UInt64

    /// Limits with so much memory.
    public init(memory: UInt64) {
        self.memory = memory
    }

    /// Three quarters of the host's memory, which is what xfs_repair(8) takes by itself at most; never less than 4 GiB.
    ///
    /// Address space is more than memory: an xfs_repair of 1,000 allocation groups maps 2 GiB and uses some MiB, and one that
    /// gets no more threads hangs for ever.
    public static let ofThisHost = ResourceLimits(ofHostWith: UInt64(sysconf(Int32(_SC_PHYS_PAGES))) * pageSize)

    init(ofHostWith memory: UInt64) {
        self.init(memory: max(memory / 4 * 3, 4 << 30))
    }

    private static var pageSize: UInt64 { UInt64(sysconf(Int32(_SC_PAGESIZE))) }

    /// How large the stack of a thread is.
    enum ThreadStack {
        /// As the host has it, mostly 8 MiB.
        case `default`
        /// 1 MiB, eight times what musl gives. The main thread has no more either: nothing for a program that recurses.
        case small
    }

    /// prlimit's arguments.
    func arguments(threadStack: ThreadStack) -> [String] {
        // A core dump of 1 byte is what keeps the kernel from handing one to a program of the host: with 0 it still would
        // where core_pattern is a pipe (do_coredump in the kernel's fs/coredump.c).
        var arguments = [
            "--as=\(memory)", "--core=1", "--nofile=1024", "--nproc=8192", "--memlock=65536", "--rtprio=0",
        ]
        if threadStack == .small { arguments.append("--stack=1048576:") }
        return arguments
    }
}
