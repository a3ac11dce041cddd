import Foundation
import Glibc
import SystemPackage
import Testing

@testable import HostTools

@Suite struct MappedExtentTests {
    private let place = MappedExtent.Place(device: DeviceNumber(major: 7, minor: 3), offset: 2048)

    @Test func `an extent becomes a line of a device-mapper table`() {
        let linear = MappedExtent(start: 0, length: 8, target: .linear(place))
        #expect(linear.targetName == "linear")
        #expect(linear.targetParameters == "7:3 2048")
        let striped = MappedExtent(start: 0, length: 256, target: .striped(chunk: 128, [place, place]))
        #expect(striped.targetName == "striped")
        #expect(striped.targetParameters == "2 128 7:3 2048 7:3 2048")
        let error = MappedExtent(start: 0, length: 8, target: .error)
        #expect(error.targetName == "error")
        #expect(error.targetParameters == "")
    }

    @Test(arguments: ["", ".", "..", "a/b", "a b", "é", "a\u{0}b", "a\"b", String(repeating: "a", count: 128)])
    func `a name that needs quoting is refused`(name: String) {
        #expect(throws: MapperError.invalidName(name)) { try DeviceMapper.exists(name: name) }
        #expect(throws: MapperError.invalidName(name)) { try DeviceMapper.remove(name: name) }
        #expect(throws: MapperError.invalidName(name)) { try DeviceMapper.create(name: name, table: []) }
    }

    @Test(arguments: [
        [],
        [MappedExtent(start: 1, length: 8, target: .error)],
        [MappedExtent(start: 0, length: 0, target: .error)],
        [MappedExtent(start: 0, length: 8, target: .error), MappedExtent(start: 9, length: 8, target: .error)],
        [MappedExtent(start: 0, length: 8, target: .error), MappedExtent(start: 7, length: 8, target: .error)],
        [MappedExtent(start: 0, length: .max, target: .error)],
        [MappedExtent(start: 0, length: 8, target: .striped(chunk: 8, []))],
    ])
    func `a table that isn't one is refused before the kernel is asked`(table: [MappedExtent]) {
        let error = #expect(throws: MapperError.self) { try DeviceMapper.create(name: "virt-fsck-test", table: table) }
        guard case .invalidTable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(.enabled(if: !DeviceMapper.isAvailable, "needs a host without device-mapper"))
    func `without device-mapper the error names the module`() throws {
        let error = #expect(throws: MapperError.notAvailable) {
            try DeviceMapper.create(
                name: "virt-fsck-test", table: [MappedExtent(start: 0, length: 8, target: .error)])
        }
        #expect(error?.description.contains("modprobe dm-mod") == true)
        #expect(throws: MapperError.notAvailable) { try DeviceMapper.remove(name: "virt-fsck-test") }
        #expect(try !DeviceMapper.exists(name: "virt-fsck-test"))
    }
}

/// Needs a kernel with device-mapper: run in the VM of the system tests.
@Suite(
    .enabled(if: DeviceMapper.isAvailable && getuid() == 0, "needs device-mapper; runs in the VM: make test"),
    .serialized, .timeLimit(.minutes(40)))
struct DeviceMapperTests {
    private let name = "virt-fsck-test-\(getpid())"

    @Test func `a linear device shows its extents in order`() throws {
        try withLoop { loop in
            try loop.fill(sector: 100, with: 0xAA, count: 8)
            try loop.fill(sector: 10, with: 0xBB, count: 8)
            let device = try DeviceMapper.create(
                name: name,
                table: [
                    MappedExtent(start: 0, length: 8, target: .linear(loop.place(100))),
                    MappedExtent(start: 8, length: 8, target: .linear(loop.place(10))),
                    MappedExtent(start: 16, length: 8, target: .error),
                ])
            #expect(try DeviceMapper.exists(name: name))
            let content = try read(device, count: 16 * 512)
            #expect(content.prefix(8 * 512).allSatisfy { $0 == 0xAA })
            #expect(content.suffix(8 * 512).allSatisfy { $0 == 0xBB })
            #expect(throws: (any Error).self) { try read(device, count: 24 * 512) }
            // We make our own nodes; nobody must find this one.
            #expect(access("/dev/mapper/\(name)", F_OK) != 0)
            try DeviceMapper.remove(name: name)
            #expect(try !DeviceMapper.exists(name: name))
            try DeviceMapper.remove(name: name)
        }
    }

    @Test func `stripes take turns`() throws {
        try withLoop { loop in
            try loop.fill(sector: 0, with: 1, count: 16)
            try loop.fill(sector: 64, with: 2, count: 16)
            let device = try DeviceMapper.create(
                name: name,
                table: [
                    MappedExtent(start: 0, length: 32, target: .striped(chunk: 8, [loop.place(0), loop.place(64)]))
                ])
            let content = try read(device, count: 32 * 512)
            #expect((0..<4).map { content[$0 * 8 * 512] } == [1, 2, 1, 2])
            let node = StorageNode.device(loop.place(0).device)
            #expect(
                DeviceMapper.places(of: device.number)
                    == MappedPlaces(
                        extents: [0, 64].map { StorageExtent(node: node, sectors: $0, count: 16) }, isInOrder: false))
            try DeviceMapper.remove(name: name)
        }
    }

    @Test func `a read-only device refuses writes`() throws {
        try withLoop { loop in
            let device = try DeviceMapper.create(
                name: name, uuid: "VIRT-FSCK-\(getpid())",
                table: [MappedExtent(start: 0, length: 8, target: .linear(loop.place(0)))], access: .readOnly)
            #expect(throws: (any Error).self) {
                try withNode(device) { path in
                    let file = try FileDescriptor.open(path, .readWrite)
                    defer { try? file.close() }
                    try file.writeAll(toAbsoluteOffset: 0, [UInt8](repeating: 1, count: 512))
                    guard fsync(file.rawValue) == 0 else { throw Errno(rawValue: errno) }
                }
            }
            try DeviceMapper.remove(name: name)
        }
    }

    @Test func `a name in use and a device that is too small are the kernel's answers`() throws {
        try withLoop { loop in
            let table = [MappedExtent(start: 0, length: 8, target: .linear(loop.place(0)))]
            _ = try DeviceMapper.create(name: name, table: table)
            let error = #expect(throws: MapperError.self) { try DeviceMapper.create(name: name, table: table) }
            guard case .failed(_, "create", .resourceBusy, let message) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(message.contains(name))
            try DeviceMapper.remove(name: name)
            let tooLarge = [MappedExtent(start: 0, length: 1 << 30, target: .linear(loop.place(0)))]
            #expect(throws: MapperError.self) { try DeviceMapper.create(name: name, table: tooLarge) }
            #expect(try !DeviceMapper.exists(name: name))
        }
    }

    @Test func `a device in use stays until its user is gone`() throws {
        try withLoop { loop in
            let device = try DeviceMapper.create(
                name: name, table: [MappedExtent(start: 0, length: 8, target: .linear(loop.place(0)))])
            try withNode(device) { path in
                let file = try FileDescriptor.open(path, .readOnly)
                let error = #expect(throws: MapperError.self) {
                    try DeviceMapper.remove(name: name, timeout: .milliseconds(100))
                }
                guard case .failed(_, "remove", .resourceBusy, _) = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                try file.close()
            }
            try DeviceMapper.remove(name: name)
        }
    }

    @Test func `several threads at once`() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<4 {
                group.addTask {
                    try withLoop { loop in
                        let name = "\(name)-\(index)"
                        let device = try DeviceMapper.create(
                            name: name, table: [MappedExtent(start: 0, length: 8, target: .linear(loop.place(0)))])
                        _ = try read(device, count: 512)
                        try DeviceMapper.remove(name: name)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func `udev leaves no link to what is in the device, and no semaphore stays`() throws {
        try withLoop { loop in
            let label = "virtfscktest"
            let process = try Process.run(
                URL(fileURLWithPath: "/usr/sbin/mkfs.ext4"), arguments: ["-q", "-F", "-L", label, loop.path])
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            _ = try DeviceMapper.create(
                name: name, table: [MappedExtent(start: 0, length: 8192, target: .linear(loop.place(0)))])
            #expect(access("/dev/disk/by-label/\(label)", F_OK) != 0)
            try DeviceMapper.remove(name: name)
            let semaphores = try String(contentsOfFile: "/proc/sysvipc/sem", encoding: .utf8)
            #expect(semaphores.split(separator: "\n").count == 1, "\(semaphores)")
        }
    }
}

extension LoopDevice {
    fileprivate func place(_ sector: UInt64) -> MappedExtent.Place {
        MappedExtent.Place(device: deviceNumber, offset: sector)
    }

    fileprivate func fill(sector: Int64, with byte: UInt8, count: Int) throws {
        let file = try FileDescriptor.open(path, .readWrite)
        defer { try? file.close() }
        try file.writeAll(toAbsoluteOffset: sector * 512, [UInt8](repeating: byte, count: count * 512))
        try sync()
    }
}

private func withLoop(_ body: (LoopDevice) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "virt-fsck-dm-\(UUID().uuidString).img"
    let file = try FileDescriptor.open(
        path, .readWrite, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
    defer {
        try? file.close()
        unlink(path)
    }
    try file.resize(to: 4 << 20)
    let loop = try LoopDevice.attach(file)
    try body(loop)
    try loop.detach()
}

private func withNode(_ device: MappedDevice, _ body: (String) throws -> Void) throws {
    let node = try DeviceNode.create(at: "/dev/virt-fsck-node-\(UUID().uuidString)", for: device.number)
    defer { try? node.remove() }
    try body(node.path)
}

private func read(_ device: MappedDevice, count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try withNode(device) { path in
        let file = try FileDescriptor.open(path, .readOnly)
        defer { try? file.close() }
        var filled = 0
        while filled < count {
            let got = try bytes.withUnsafeMutableBytes { buffer in
                try file.read(
                    fromAbsoluteOffset: Int64(filled), into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            }
            guard got > 0 else { throw Errno.ioError }
            filled += got
        }
    }
    return bytes
}
