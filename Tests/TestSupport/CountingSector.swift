import Foundation

/// A guest of one sector that writes to its disks for as long as it runs: a number, one more each time, in a place of its own.
///
/// So that a write that somebody loses is seen: what the guest has in its memory and what its disks have differ.
public enum CountingSector {
    /// Where the number is, on the first two disks: behind a partition table, before the first partition. Bytes.
    public static let place = 60 * 512

    /// Bytes that the guest writes there.
    public static let size = 512

    /// Writes its program into a disk's first sector, before the partition table.
    ///
    /// The guest goes on from the number on its first disk, writes the next one to both disks, says its words on the serial
    /// port, and goes on counting every 5 ms.
    ///
    /// - Parameters:
    ///   - words: what it says; ASCII, at most 350 bytes.
    ///   - disk: raw, the firmware's first, with a DOS partition table.
    public static func install(saying words: String, on disk: String) throws {
        let message = Array(words.utf8) + [0]
        guard program.count + message.count <= 440 else { throw ToolError(description: "too many words: \(words)") }
        try FileHandle.update(disk) { try $0.write(program + message, at: 0) }
    }

    /// The number on a disk.
    ///
    /// - Parameter disk: raw.
    public static func number(on disk: String) throws -> Int {
        try FileHandle.read(disk) { try $0.bytes(at: place, count: 4) }.reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    /// Takes the number off a disk: what is left is what somebody else made of it.
    public static func erase(on disk: String) throws {
        try FileHandle.update(disk) { try $0.write([UInt8](repeating: 0, count: size), at: place) }
    }

    /// The number in the memory of a running domain's guest.
    public static func number(inMemoryOf domain: String) async throws -> Int {
        let dump = try await PrivateLibvirt.shared.virsh("qemu-monitor-command", domain, "--hmp", "xp /1wx 0x7e00")
        let word = dump.split(separator: ":").last?.trimmingCharacters(in: .whitespacesAndNewlines).dropFirst(2) ?? ""
        guard let number = Int(word, radix: 16) else { throw ToolError(description: "no number in \(dump)") }
        return number
    }

    /// The firmware starts it at 0000:7C00, where the words are behind it; the number is at 0000:7E00.
    private static let program: [UInt8] = [
        0x31, 0xC0,  // xor ax, ax
        0x8E, 0xD8,  // mov ds, ax
        0x8E, 0xC0,  // mov es, ax
        0x8E, 0xD0,  // mov ss, ax
        0xBC, 0x00, 0x7C,  // mov sp, 0x7C00
        0xFC,  // cld
        0xB8, 0x01, 0x02,  // mov ax, read one sector
        0xBA, 0x80, 0x00,  // mov dx, first disk
        0xE8, 0x3A, 0x00,  // call transfer
        0xE8, 0x28, 0x00,  // call count
        0xBE, 0x58, 0x7C,  // mov si, words
        0xAC,  // next: lodsb
        0x84, 0xC0,  // test al, al
        0x74, 0x12,  // jz loop
        0x88, 0xC3,  // mov bl, al
        0xBA, 0xFD, 0x03,  // mov dx, line status of COM1
        0xEC,  // wait: in al, dx
        0xA8, 0x20,  // test al, transmitter is empty
        0x74, 0xFB,  // jz wait
        0xBA, 0xF8, 0x03,  // mov dx, COM1
        0x88, 0xD8,  // mov al, bl
        0xEE,  // out dx, al
        0xEB, 0xE9,  // jmp next
        0xB4, 0x86,  // loop: mov ah, wait
        0x31, 0xC9,  // xor cx, cx
        0xBA, 0x88, 0x13,  // mov dx, 5000 µs
        0xCD, 0x15,  // int 0x15
        0xE8, 0x02, 0x00,  // call count
        0xEB, 0xF2,  // jmp loop
        0x66, 0xFF, 0x06, 0x00, 0x7E,  // count: inc dword [0x7E00]
        0xBA, 0x80, 0x00,  // mov dx, first disk
        0xE8, 0x01, 0x00,  // call write
        0x42,  // inc dx: the second, where there is one
        0xB8, 0x01, 0x03,  // write: mov ax, write one sector
        0xB9, 0x3D, 0x00,  // transfer: mov cx, sector 61 of the first track
        0xBB, 0x00, 0x7E,  // mov bx, 0x7E00
        0xCD, 0x13,  // int 0x13
        0xC3,  // ret
    ]
}
