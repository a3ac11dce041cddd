import Foundation
import Glibc
import Testing

@testable import HostTools

/// Which names stand for the same bytes, on hosts of many shapes.
struct HostStorageTests {
    private static let sda = DeviceNumber(major: 8, minor: 0)
    private static let sdb = DeviceNumber(major: 8, minor: 16)
    private static let sda1 = DeviceNumber(major: 8, minor: 1)
    private static let sda2 = DeviceNumber(major: 8, minor: 2)
    private static let image = StorageNode.file(FileIdentity(device: 1, inode: 1))
    private static func loop(_ minor: UInt32) -> DeviceNumber { DeviceNumber(major: 7, minor: minor) }
    private static func mapped(_ minor: UInt32) -> DeviceNumber { DeviceNumber(major: 253, minor: minor) }

    private static func extent(_ node: StorageNode, _ range: Range<UInt64> = 0..<UInt64.max) -> StorageExtent {
        StorageExtent(node: node, range: range)
    }

    /// A disk with two partitions; two linear volumes and a mirror of two disks' halves; a file under several loop devices.
    private static let host = HostStorage(devices: [
        sda: .init(name: "sda", kind: .disk), sdb: .init(name: "sdb", kind: .disk),
        sda1: .init(name: "sda1", kind: .partition, lower: [extent(.device(sda), 100..<200)]),
        sda2: .init(name: "sda2", kind: .partition, lower: [extent(.device(sda), 200..<400)]),
        mapped(0): .init(name: "dm-0", kind: .mapped("vg-a"), lower: [extent(.device(sda2), 0..<50)]),
        mapped(1): .init(name: "dm-1", kind: .mapped("vg-b"), lower: [extent(.device(sda2), 50..<100)]),
        mapped(2): .init(
            name: "dm-2", kind: .mapped("vg-mirror"), lower: [extent(.device(mapped(3))), extent(.device(sdb))],
            isOpaque: true),
        mapped(3): .init(name: "dm-3", kind: .mapped("vg-leg"), lower: [extent(.device(sda2), 100..<150)]),
        loop(0): .init(name: "loop0", kind: .loop(file: "/image"), lower: [extent(image)]),
        loop(1): .init(name: "loop1", kind: .loop(file: "/image"), lower: [extent(image, 0..<100)]),
        loop(2): .init(name: "loop2", kind: .loop(file: "/image"), lower: [extent(image, 100..<200)]),
        mapped(4): .init(name: "dm-4", kind: .mapped("crypt"), lower: [extent(.device(loop(2)))], isOpaque: true),
    ])

    @Test(
        arguments: [
            (.device(sda1), [.device(sda1), .device(sda)]),
            (.device(mapped(0)), [.device(mapped(0)), .device(sda2), .device(sda)]),
            (.device(mapped(1)), [.device(mapped(1)), .device(sda2), .device(sda)]),
            (
                .device(sda2),
                [
                    .device(sda2), .device(sda), .device(mapped(0)), .device(mapped(1)), .device(mapped(2)),
                    .device(mapped(3)),
                ]
            ),
            (
                .device(mapped(2)),
                [.device(mapped(2)), .device(mapped(3)), .device(sda2), .device(sda), .device(sdb)]
            ),
            (.device(sdb), [.device(sdb), .device(mapped(2))]),
            (image, [image, .device(loop(0)), .device(loop(1)), .device(loop(2)), .device(mapped(4))]),
            (.device(loop(1)), [.device(loop(1)), .device(loop(0)), image]),
            (.device(loop(2)), [.device(loop(2)), .device(loop(0)), image, .device(mapped(4))]),
            (.device(mapped(4)), [.device(mapped(4)), .device(loop(2)), .device(loop(0)), image]),
            (.file(FileIdentity(device: 9, inode: 9)), [.file(FileIdentity(device: 9, inode: 9))]),
        ] as [(StorageNode, [StorageNode])])
    func `names share bytes where they lie on the same ones`(node: StorageNode, expected: [StorageNode]) {
        #expect(Self.host.sharing(node) == Set(expected))
    }

    @Test func `a striped volume shares no byte with what lies beside it`() {
        let (root, striped, other) = (Self.mapped(0), Self.mapped(1), Self.mapped(2))
        let host = HostStorage(devices: [
            Self.sda: .init(name: "sda", kind: .disk), Self.sdb: .init(name: "sdb", kind: .disk),
            root: .init(name: "dm-0", kind: .mapped("vg-root"), lower: [Self.extent(.device(Self.sda), 0..<50)]),
            striped: .init(
                name: "dm-1", kind: .mapped("vg-striped"),
                lower: [Self.extent(.device(Self.sda), 50..<100), Self.extent(.device(Self.sdb), 0..<50)],
                isOpaque: true),
            other: .init(
                name: "dm-2", kind: .mapped("vg-other"),
                lower: [Self.extent(.device(Self.sda), 100..<150), Self.extent(.device(Self.sdb), 50..<100)],
                isOpaque: true),
        ])
        #expect(host.sharing(.device(striped)) == [.device(striped), .device(Self.sda), .device(Self.sdb)])
        #expect(host.sharing(.device(root)) == [.device(root), .device(Self.sda)])
        #expect(
            host.sharing(.device(Self.sdb))
                == [.device(Self.sdb), .device(striped), .device(other)])
    }

    @Test func `what a device is made of is no use of it`() {
        #expect(Self.host.isFoundation(.device(Self.sda), of: .device(Self.mapped(0))))
        #expect(Self.host.isFoundation(Self.image, of: .device(Self.loop(1))))
        #expect(!Self.host.isFoundation(.device(Self.loop(0)), of: .device(Self.loop(1))))
        #expect(!Self.host.isFoundation(.device(Self.mapped(0)), of: .device(Self.sda)))
    }

    @Test func `a device that is handed over by its address is found by its way`() throws {
        let folder = try ScratchFolder()
        for (name, way) in [
            ("sda", "pci0000:00/0000:00:1f.2/ata1/host2/target2:0:0/2:0:0:1/block/sda"),
            ("nvme0n1", "pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0/nvme0n1"), ("loop0", "virtual/block/loop0"),
        ] {
            let link = "\(folder.path)/\(name)"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "../../devices/\(way)")
        }
        func found(_ part: String) -> [String] { HostStorage.blockDevices(below: part, in: folder.path) }
        #expect(found("/2:0:0:1/") == ["/dev/sda"])
        #expect(found("/0000:01:00.0/") == ["/dev/nvme0n1"])
        #expect(found("/0000:00:1f.2/") == ["/dev/sda"])
        #expect(found("/0000:00:00.0/") == [])
    }

    @Test func `devices that lie on each other end no search`() {
        let circle = HostStorage(devices: [
            Self.sda: .init(name: "sda", kind: .other, lower: [Self.extent(.device(Self.sdb))]),
            Self.sdb: .init(name: "sdb", kind: .other, lower: [Self.extent(.device(Self.sda))], isOpaque: true),
        ])
        #expect(circle.sharing(.device(Self.sda)).contains(.device(Self.sdb)))
        #expect(circle.isFoundation(.device(Self.sdb), of: .device(Self.sda)))
    }

    @Test(.enabled(if: getuid() == 0)) func `a device whose files do not answer is passed over`() async throws {
        let folder = try ScratchFolder()
        let file = try folder.sparseFile("disk", size: 1 << 20)
        let loop = try await folder.runner.output(of: Command("losetup", "--find", "--show", file))
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let image = try #require(StorageNode(try FileStatus(of: file)))
        let device = try #require(StorageNode(try FileStatus(of: loop)))
        var begun: [String] = []
        #expect(HostStorage.read { begun.append($0) }.sharing(image).contains(device))
        #expect(begun.contains(loop))
        begun = []
        #expect(!HostStorage.read(besides: [loop]) { begun.append($0) }.sharing(image).contains(device))
        #expect(!begun.contains(loop))
        try await folder.runner.output(of: Command("losetup", "--detach", loop))
    }
}
