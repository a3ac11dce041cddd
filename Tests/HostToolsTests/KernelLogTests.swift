import CLinux
import Foundation
import Glibc
import Testing

@testable import HostTools

struct KernelLogTests {
    @Test(arguments: [
        ("4,1,2,-;I/O error, dev loop3, sector 8 op 0x0:(READ)\n", "loop3"),
        ("3,1,2,-;blk_update_request: critical medium error, dev sda, sector 8 op 0x0:(READ)\n", "sda"),
        ("3,1,2,c;Buffer I/O error on dev dm-1, logical block 0, async page read\n SUBSYSTEM=block\n", "dm-1"),
        ("12,1,2,-;I/O error, dev loop3, sector 8: said by a program\n", nil),
        ("6,1,2,-;loop3: detected capacity", nil), ("", nil), (";", nil),
    ]) func `a device that fails is named by the kernel`(_ record: String, _ device: String?) {
        var errors = KernelLog.Errors()
        errors.take(record)
        #expect(errors.devices == Set([device].compactMap(\.self)))
        #expect(!errors.mayBeIncomplete)
    }

    @Test func `ten errors may hide more`() {
        var errors = KernelLog.Errors()
        for _ in 0..<10 { errors.take("4,1,2,-;I/O error, dev sda, sector 8\n") }
        #expect(errors.mayBeIncomplete)
    }

    @Test func `where there is no log nobody listens`() {
        #expect(KernelLog(path: "/nonexistent") == nil)
    }

    /// A watchdog begins to count when it is opened.
    @Test(arguments: ["/dev/null", "/dev/full", "/nonexistent"])
    func `what is no place for a file is not opened to see`(_ path: String) {
        #expect(Files.writeProblem(path) == nil)
    }

    @Test func `layers and writes are read from sysfs`() throws {
        let root = FileManager.default.temporaryDirectory.path + "/layers-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        func write(_ text: String, _ place: String) throws {
            try Files.makeFolder(Files.folder(of: "\(root)/\(place)"))
            try text.write(toFile: "\(root)/\(place)", atomically: false, encoding: .utf8)
        }
        try write("MAJOR=253\nMINOR=1\nDEVNAME=dm-1\n", "253:1/uevent")
        try write("43:0\n", "253:1/slaves/nbd0/dev")
        try write("DEVNAME=nbd0\n", "43:0/uevent")
        try write("  5 0 40 1 7 0 0 1 0 1 1 0 0 0 0 7 1\n", "43:0/stat")
        #expect(DeviceLayers.names(of: DeviceNumber(major: 253, minor: 1), in: root) == ["dm-1", "nbd0"])
        #expect(DeviceLayers.names(of: DeviceNumber(major: 9, minor: 9), in: root) == [])
        // Flushes are no writes.
        #expect(DeviceLayers.sectorsWritten(to: DeviceNumber(major: 43, minor: 0), in: root) == 0)
        #expect(DeviceLayers.sectorsWritten(to: DeviceNumber(major: 9, minor: 9), in: root) == nil)
    }
}
