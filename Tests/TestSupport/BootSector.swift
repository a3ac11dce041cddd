import Foundation

/// A guest of one sector: it says something on the serial port, and that is all.
public enum BootSector {
    /// What it does afterwards.
    public enum End: Sendable {
        /// It stays there.
        case stops
        /// It powers itself off.
        case powersOff
        /// It resets itself: it boots again, and again.
        case resets
        /// It tells QEMU's pvpanic device that it has panicked.
        case panics
        /// It says nothing by itself, but its words each time that it gets a byte on the serial port.
        case answers
    }

    /// Writes its program into a disk's first sector, before the partition table.
    ///
    /// - Parameters:
    ///   - words: what it says; ASCII, at most 390 bytes.
    ///   - disk: raw, with a DOS partition table.
    public static func install(saying words: String, then end: End = .stops, on disk: String) throws {
        let program = program(end)
        let message = Array(words.utf8) + [0]
        guard program.count + message.count <= 440 else { throw ToolError(description: "too many words: \(words)") }
        try FileHandle.update(disk) { try $0.write(program + message, at: 0) }
    }

    /// The firmware starts it at 0000:7C00, where the words are behind it.
    private static func program(_ end: End) -> [UInt8] {
        // SeaBIOS puts the power management of QEMU's "pc" at port 0x600: its control register takes SLP_EN of S5.
        let powerOff: [UInt8] = [
            0xBA, 0x04, 0x06,  // mov dx, 0x604
            0xB8, 0x00, 0x20,  // mov ax, 0x2000
            0xEF,  // out dx, ax
        ]
        let reset: [UInt8] = [
            0xB0, 0xFE,  // mov al, 0xFE
            0xE6, 0x64,  // out 0x64, al: the keyboard controller's reset
        ]
        let panic: [UInt8] = [
            0xBA, 0x05, 0x05,  // mov dx, 0x505
            0xB0, 0x01,  // mov al, 1
            0xEE,  // out dx, al
        ]
        let again: [UInt8] = [
            0xEB, 0xD3,  // jmp listen
        ]
        let last: [UInt8] =
            switch end {
            case .stops: []
            case .powersOff: powerOff
            case .resets: reset
            case .panics: panic
            case .answers: again
            }
        let tail: [UInt8] =
            last + [
                0xF4,  // stop: hlt
                0xEB, 0xFD,  // jmp stop
            ]
        let listen: [UInt8] = [
            0xBA, 0xFD, 0x03,  // listen: mov dx, line status of COM1
            0xEC,  // wait: in al, dx
            0xA8, 0x01,  // test al, a byte is there
            0x74, 0xFB,  // jz wait
            0xBA, 0xF8, 0x03,  // mov dx, COM1
            0xEC,  // in al, dx
        ]
        let head = end == .answers ? listen : []
        return head + [
            0x31, 0xC0,  // xor ax, ax
            0x8E, 0xD8,  // mov ds, ax
            0xFC,  // cld
            0xBE, UInt8(head.count + 31 + tail.count), 0x7C,  // mov si, words
            0xAC,  // next: lodsb
            0x84, 0xC0,  // test al, al
            0x74, 0x12,  // jz end
            0x88, 0xC3,  // mov bl, al
            0xBA, 0xFD, 0x03,  // mov dx, line status of COM1
            0xEC,  // wait: in al, dx
            0xA8, 0x20,  // test al, transmitter is empty
            0x74, 0xFB,  // jz wait
            0xBA, 0xF8, 0x03,  // mov dx, COM1
            0x88, 0xD8,  // mov al, bl
            0xEE,  // out dx, al
            0xEB, 0xE9,  // jmp next
        ] + tail
    }
}
