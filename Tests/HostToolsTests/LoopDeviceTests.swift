import CLinux
import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

/// Loop devices need root and the loop module.
private let canLoop = getuid() == 0 && access("/dev/loop-control", F_OK) == 0

@Suite(.enabled(if: canLoop, "needs root and loop devices"), .timeLimit(.minutes(40)))
struct LoopDeviceTests {
    @Test func `the device shows the file with the sector size that was asked for`() throws {
        try withScratchFile(size: 1 << 20) { file, path in
            let loop = try LoopDevice.attach(file, sectorSize: 4096)
            #expect(loop.path == "/dev/loop\(loop.number)")
            #expect(try DeviceNumber(ofNode: loop.path) == loop.deviceNumber)
            #expect(try text("/sys/block/loop\(loop.number)/queue/logical_block_size") == "4096")
            #expect(try text("/sys/block/loop\(loop.number)/size") == "2048")
            #expect(try text("/sys/block/loop\(loop.number)/loop/autoclear") == "1")
            #expect(try text("/sys/block/loop\(loop.number)/loop/dio") == (loop.usesDirectIO ? "1" : "0"))
            try loop.detach()
        }
    }

    @Test func `what is written to the device is in the file after a sync`() throws {
        try withScratchFile(size: 1 << 20) { file, path in
            let loop = try LoopDevice.attach(file)
            let device = try FileDescriptor.open(loop.path, .readWrite)
            try device.writeAll(toAbsoluteOffset: 8192, [UInt8](repeating: 0x5A, count: 512))
            try device.close()
            try loop.sync()
            try loop.flushBuffers()
            var bytes = [UInt8](repeating: 0, count: 512)
            _ = try bytes.withUnsafeMutableBytes { try file.read(fromAbsoluteOffset: 8192, into: $0) }
            #expect(bytes.allSatisfy { $0 == 0x5A })
            try loop.detach()
        }
    }

    @Test func `writes to a read-only device are refused`() throws {
        try withScratchFile(size: 1 << 20) { file, path in
            let loop = try LoopDevice.attach(file, access: .readOnly)
            #expect(try text("/sys/block/loop\(loop.number)/ro") == "1")
            try loop.detach()
            // The next user of the same number must get a writable one again.
            let again = try LoopDevice.attach(file)
            #expect(try text("/sys/block/loop\(again.number)/ro") == "0")
            try again.detach()
        }
    }

    @Test func `nobody else gets the lock while the device has content`() throws {
        try withScratchFile(size: 1 << 20) { file, path in
            let loop = try LoopDevice.attach(file)
            // Closed once: the number is somebody else's descriptor at once.
            let other = try FileDescriptor.open(loop.path, .readOnly)
            #expect(flock(other.rawValue, LOCK_SH | LOCK_NB) == -1)
            #expect(errno == EWOULDBLOCK)
            try other.close()
            try loop.detach()
        }
    }

    @Test func `detach returns when the kernel has let go of the file`() throws {
        try withScratchFile(size: 1 << 20) { file, path in
            let loop = try LoopDevice.attach(file)
            try loop.detach()
            #expect(!isBacking(loop.number, path))
            try loop.detach()
            #expect(throws: DeviceError.self) { try loop.sync() }
        }
    }

    @Test func `detach says that somebody still uses the device and works afterwards`() throws {
        try withScratchFile(size: 1 << 20) { file, path in
            let loop = try LoopDevice.attach(file)
            let user = try FileDescriptor.open(loop.path, .readOnly)
            let error = #expect(throws: DeviceError.self) { try loop.detach(timeout: .milliseconds(50)) }
            #expect(error?.code == .resourceBusy)
            #expect(isBacking(loop.number, path))
            try user.close()
            try loop.detach()
            #expect(!isBacking(loop.number, path))
        }
    }

    @Test func `a device that is dropped goes away by itself`() async throws {
        let (number, path) = try withScratchFile(size: 1 << 20) { file, path in
            (try LoopDevice.attach(file).number, path)
        }
        #expect(try await eventually { !isBacking(number, path) })
    }

    @Test func `many at once get devices of their own`() async throws {
        try await withThrowingTaskGroup(of: LoopDevice.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try withScratchFile(size: 1 << 20) { file, _ in try LoopDevice.attach(file) }
                }
            }
            var devices: [LoopDevice] = []
            for try await device in group { devices.append(device) }
            #expect(Set(devices.map(\.number)).count == 8)
            for device in devices { try device.detach() }
        }
    }

    @Test func `a file that is no backing file is refused by the kernel`() throws {
        let null = try FileDescriptor.open("/dev/null", .readWrite)
        defer { try? null.close() }
        let error = #expect(throws: DeviceError.self) { try LoopDevice.attach(null) }
        #expect(error?.operation == "LOOP_CONFIGURE")
    }

    @Test func `a private node opens the same device and is removed`() throws {
        try withScratchFile(size: 1 << 20) { file, path in
            let loop = try LoopDevice.attach(file)
            let node = try DeviceNode.create(
                at: path + ".node", for: loop.deviceNumber, owner: 65534, group: 65534, mode: [.ownerRead])
            #expect(try DeviceNumber(ofNode: node.path) == loop.deviceNumber)
            var status = stat()
            #expect(stat(node.path, &status) == 0)
            #expect(status.st_uid == 65534)
            #expect(status.st_gid == 65534)
            #expect(status.st_mode & 0o7777 == 0o400)
            #expect(throws: DeviceError.self) { try DeviceNode.create(at: node.path, for: loop.deviceNumber) }
            try node.remove()
            try node.remove()
            #expect(access(node.path, F_OK) != 0)
            try loop.detach()
        }
    }
}

@Suite struct DeviceNumberTests {
    @Test func `the form of sysfs is read`() {
        #expect(DeviceNumber("7:3\n") == DeviceNumber(major: 7, minor: 3))
        #expect(DeviceNumber("7:3")?.description == "7:3")
    }

    @Test(arguments: ["", "7", "7:", ":3", "7:3:1", "-7:3", "7:99999999999", "a:b"])
    func `anything else is none`(text: String) {
        #expect(DeviceNumber(text) == nil)
    }

    @Test func `a file that is no block device has no number`() {
        let error = #expect(throws: DeviceError.self) { try DeviceNumber(ofNode: "/dev/null") }
        #expect(error?.code.rawValue == ENOTBLK)
        #expect(throws: DeviceError.self) { try DeviceNumber(ofNode: "/dev/does-not-exist") }
    }
}

private func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
}

private func isBacking(_ number: Int, _ path: String) -> Bool {
    (try? text("/sys/block/loop\(number)/loop/backing_file")) == path
}

/// A file of zeros of `size` bytes that is gone after `body`.
private func withScratchFile<Value>(size: Int, _ body: (FileDescriptor, String) throws -> Value) throws -> Value {
    let path = NSTemporaryDirectory() + "virt-fsck-loop-\(UUID().uuidString).img"
    let file = try FileDescriptor.open(
        path, .readWrite, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
    defer {
        try? file.close()
        unlink(path)
    }
    try file.resize(to: Int64(size))
    return try body(file, path)
}
