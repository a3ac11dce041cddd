import Foundation
import Testing

@testable import HostTools

/// A /sys/dev/block of the test's own.
struct RotatingDiskTests {
    private let root = FileManager.default.temporaryDirectory.path + "/rotating-\(UUID().uuidString)"

    @Test func `a disk that rotates is found beneath partitions, device-mapper and md`() throws {
        defer { try? FileManager.default.removeItem(atPath: root) }
        try write(["8:0/dev": "8:0", "8:0/queue/rotational": "1", "8:0/sda1/dev": "8:1", "8:0/sda1/partition": "1"])
        try write(["8:16/dev": "8:16", "8:16/queue/rotational": "0"])
        try FileManager.default.createSymbolicLink(atPath: "\(root)/8:1", withDestinationPath: "8:0/sda1")
        try write(["9:0/slaves/sda1/dev": "8:1", "9:0/slaves/sdb/dev": "8:16", "9:0/queue/rotational": "1"])
        try write(["253:0/slaves/md0/dev": "9:0", "253:0/queue/rotational": "1"])
        let disk = DeviceNumber(major: 8, minor: 0)
        for (major, minor) in [(8, 0), (8, 1), (9, 0), (253, 0)] as [(UInt32, UInt32)] {
            #expect(disks(major, minor) == [disk], "\(major):\(minor)")
        }
        #expect(disks(8, 16) == [])
    }

    @Test func `a disk that the hypervisor made up doesn't count, whatever it says`() throws {
        defer { try? FileManager.default.removeItem(atPath: root) }
        try write(["254:0/queue/rotational": "1", "254:0/device/modalias": "virtio:d00000002v00001AF4"])
        #expect(disks(254, 0) == [])
    }

    @Test func `a filesystem without a device, and layers without an end, tell nothing`() throws {
        defer { try? FileManager.default.removeItem(atPath: root) }
        #expect(disks(0, 42) == [])
        try write(["253:1/slaves/dm-1/dev": "253:1", "253:1/queue/rotational": "1"])
        #expect(disks(253, 1) == [])
        #expect(RotatingDisk.all(below: "/no/such/file") == [])
    }

    @Test func `the host's own disks can be asked`() {
        for path in ["/", "/proc", "/dev/null"] { _ = RotatingDisk.all(below: path) }
    }

    private func disks(_ major: UInt32, _ minor: UInt32) -> [DeviceNumber] {
        RotatingDisk.leaves(of: DeviceNumber(major: major, minor: minor), in: root, depth: 8).map(\.number)
    }

    private func write(_ files: [String: String]) throws {
        for (name, text) in files {
            let file = URL(filePath: "\(root)/\(name)")
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data("\(text)\n".utf8).write(to: file)
        }
    }
}

struct HostMemoryTests {
    @Test func `available memory is read from the kernel's list`() {
        #expect(
            HostMemory.available(in: "MemTotal:  8 kB\nMemAvailable:   22562204 kB\nSwapFree: 1 kB\n") == 22_562_204
                << 10)
        #expect(HostMemory.available(in: "MemTotal:  8 kB\n") == nil)
        #expect(HostMemory.available(in: "MemAvailable: x kB\n") == nil)
        #expect((HostMemory.available ?? 0) > 0)
    }
}
