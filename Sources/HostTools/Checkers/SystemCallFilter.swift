/// What a checker may not ask of the kernel, as the program for the kernel's filter (seccomp(2), `linux/filter.h`).
///
/// A list of what is refused, not of what is allowed: checkers change, and one that a new C library leads to a call that
/// nobody thought of must not stop in the middle of a repair. What is on the list is either a way out of the walls, or memory
/// that no limit counts, or a part of the kernel that no checker has business with and where holes were found.
///
/// Loop and nbd ioctls are refused: whoever has such a device open could make it show another file. BLKFLSBUF, which only
/// root may call and xfs_repair insists on, does nothing and succeeds: after each run we bring everything to the disk
/// through a descriptor of our own, and that is what counts.
enum SystemCallFilter {
    /// The program, as bubblewrap's `--seccomp` reads it: an array of `struct sock_filter`.
    static let program: [UInt8] = {
        var instructions = [
            load(architectureOffset),
            jump(ifEqual: architecture, then: 1, otherwise: 0),
            answer(refuse),
            load(numberOffset),
            // The x32 calls, which have numbers of their own.
            jump(ifAtLeast: 0x4000_0000, then: 0, otherwise: 1),
            answer(refuse),
        ]
        for call in RefusedCalls.all {
            instructions += [jump(ifEqual: call, then: 0, otherwise: 1), answer(refuse)]
        }
        // Its flags lie in memory, where no filter can look. The C library then takes clone.
        instructions += [jump(ifEqual: SystemCall.clone3, then: 0, otherwise: 1), answer(pretendItDoesNotExist)]
        instructions += when(SystemCall.clone, cloneRules)
        instructions += when(SystemCall.ioctl, ioctlRules)
        instructions.append(answer(allow))
        return instructions.flatMap(\.bytes)
    }()

    /// A checker is one process: threads only, and none in namespaces of its own (CLONE_NEW… of linux/sched.h). So the limit
    /// of a process's memory is that of the checker.
    private static let cloneRules = [
        load(firstArgumentOffset),
        and(cloneThread | cloneNamespaces),
        jump(ifEqual: cloneThread, then: 1, otherwise: 0),
        answer(refuse),
        answer(allow),
    ]

    private static let ioctlRules = [
        load(secondArgumentOffset),
        jump(ifEqual: blkflsbuf, then: 0, otherwise: 1),
        answer(succeed),
        // TIOCSTI and TIOCLINUX (asm-generic/ioctls.h, tty_ioctl(4)) type on the terminal of whoever runs us.
        jump(ifEqual: 0x5412, then: 1, otherwise: 0),
        jump(ifEqual: 0x541C, then: 0, otherwise: 1),
        answer(refuse),
        // _IOC_TYPE of the request, bits 8 to 15: loop, nbd, device-mapper, SCSI pass-through.
        and(0xFF00),
        jump(ifEqual: 0x4C00, then: 3, otherwise: 0),
        jump(ifEqual: 0xAB00, then: 2, otherwise: 0),
        jump(ifEqual: 0xFD00, then: 1, otherwise: 0),
        jump(ifEqual: 0x2200, then: 0, otherwise: 1),
        answer(refuse),
        answer(allow),
    ]

    #if arch(x86_64)
        private static let architecture: UInt32 = 0xC000_003E
    #elseif arch(arm64)
        private static let architecture: UInt32 = 0xC000_00B7
    #endif

    /// `_IO(0x12, 97)` of linux/fs.h.
    private static let blkflsbuf: UInt32 = 0x1261
    /// CLONE_THREAD of linux/sched.h.
    private static let cloneThread: UInt32 = 0x0001_0000
    /// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
    private static let cloneNamespaces: UInt32 = 0x7E02_0000
    /// Fields of `struct seccomp_data`; of an argument the lower half, which holds all of an ioctl's request and of clone's
    /// flags.
    private static let numberOffset: UInt32 = 0
    private static let architectureOffset: UInt32 = 4
    private static let firstArgumentOffset: UInt32 = 16
    private static let secondArgumentOffset: UInt32 = 24
    /// SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM, with ENOSYS, and with no error.
    private static let allow: UInt32 = 0x7FFF_0000
    private static let refuse: UInt32 = 0x0005_0001
    private static let pretendItDoesNotExist: UInt32 = 0x0005_0026
    private static let succeed: UInt32 = 0x0005_0000

    private struct Instruction {
        var code: UInt16
        var ifTrue: UInt8
        var ifFalse: UInt8
        var value: UInt32

        var bytes: [UInt8] {
            withUnsafeBytes(of: code, Array.init) + [ifTrue, ifFalse] + withUnsafeBytes(of: value, Array.init)
        }
    }

    /// Rules for one call; they answer in any case.
    private static func when(_ call: UInt32, _ rules: [Instruction]) -> [Instruction] {
        [jump(ifEqual: call, then: 0, otherwise: UInt8(rules.count))] + rules
    }

    /// BPF_LD | BPF_W | BPF_ABS
    private static func load(_ offset: UInt32) -> Instruction {
        Instruction(code: 0x20, ifTrue: 0, ifFalse: 0, value: offset)
    }

    /// BPF_ALU | BPF_AND | BPF_K
    private static func and(_ mask: UInt32) -> Instruction {
        Instruction(code: 0x54, ifTrue: 0, ifFalse: 0, value: mask)
    }

    /// BPF_JMP | BPF_JEQ | BPF_K; the numbers say how many instructions are skipped.
    private static func jump(ifEqual value: UInt32, then skip: UInt8, otherwise other: UInt8) -> Instruction {
        Instruction(code: 0x15, ifTrue: skip, ifFalse: other, value: value)
    }

    /// BPF_JMP | BPF_JGE | BPF_K
    private static func jump(ifAtLeast value: UInt32, then skip: UInt8, otherwise other: UInt8) -> Instruction {
        Instruction(code: 0x35, ifTrue: skip, ifFalse: other, value: value)
    }

    /// BPF_RET | BPF_K
    private static func answer(_ value: UInt32) -> Instruction {
        Instruction(code: 0x06, ifTrue: 0, ifFalse: 0, value: value)
    }
}
