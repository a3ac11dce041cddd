/// The system calls that a checker may not make, as the program for the kernel's filter (seccomp(2), `linux/filter.h`).
///
/// Loop and nbd ioctls are refused: whoever has such a device open could make it show another file. BLKFLSBUF, which only
/// root may call and xfs_repair insists on, does nothing and succeeds: after each run we bring everything to the disk
/// through a descriptor of our own, and that is what counts.
enum SystemCallFilter {
    /// The program, as bubblewrap's `--seccomp` reads it: an array of `struct sock_filter`.
    static let program: [UInt8] = {
        let instructions = [
            load(architectureOffset),
            jump(ifEqual: architecture, then: 1, otherwise: 0),
            answer(refuse),
            load(numberOffset),
            // The x32 calls, which have numbers of their own.
            jump(ifAtLeast: 0x4000_0000, then: 0, otherwise: 1),
            answer(refuse),
            jump(ifEqual: ioctlNumber, then: 1, otherwise: 0),
            answer(allow),
            load(secondArgumentOffset),
            jump(ifEqual: blkflsbuf, then: 0, otherwise: 1),
            answer(succeed),
            // _IOC_TYPE of the request: bits 8 to 15.
            Instruction(code: 0x54, ifTrue: 0, ifFalse: 0, value: 0xFF00),
            jump(ifEqual: 0x4C00, then: 1, otherwise: 0),
            jump(ifEqual: 0xAB00, then: 0, otherwise: 1),
            answer(refuse),
            answer(allow),
        ]
        return instructions.flatMap(\.bytes)
    }()

    #if arch(x86_64)
        private static let architecture: UInt32 = 0xC000_003E
        private static let ioctlNumber: UInt32 = 16
    #elseif arch(arm64)
        private static let architecture: UInt32 = 0xC000_00B7
        private static let ioctlNumber: UInt32 = 29
    #endif

    /// `_IO(0x12, 97)` of linux/fs.h.
    private static let blkflsbuf: UInt32 = 0x1261
    /// Fields of `struct seccomp_data`; of the second argument the lower half, which holds all of an ioctl's request.
    private static let numberOffset: UInt32 = 0
    private static let architectureOffset: UInt32 = 4
    private static let secondArgumentOffset: UInt32 = 24
    /// SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM, and with no error.
    private static let allow: UInt32 = 0x7FFF_0000
    private static let refuse: UInt32 = 0x0005_0001
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

    /// BPF_LD | BPF_W | BPF_ABS
    private static func load(_ offset: UInt32) -> Instruction {
        Instruction(code: 0x20, ifTrue: 0, ifFalse: 0, value: offset)
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
