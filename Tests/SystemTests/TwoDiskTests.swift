import Foundation
import TestSupport
import Testing

extension SystemTests {
    @Suite struct TwoDisks {
        private static let mebibyte = 1 << 20
        private static let chunk = 64 << 10

        @Test(arguments: Engine.allCases)
        func `logical volumes over two disks are repaired as the bare checker does it`(engine: Engine) async throws {
            let set = try await makeDisks()
            let disks = [
                try await set.disks[0].copy("span-a.qcow2", format: "qcow2"),
                try await set.disks[1].copy("span-b.raw", format: "raw"),
            ]
            try await VM.withDomain(disks) { domain in
                let before = HostSnapshot.take()
                let run = try await VM.repair(domain, engine: engine)
                #expect(run.exitStatus == 1, "\(run)")
                #expect(run.volume("guest-vg/linear")?.outcome == "repaired")
                #expect(run.volume("guest-vg/striped")?.outcome == "repaired")
                #expect(HostSnapshot.take() == before)
                let views = [try await disks[0].guestView(), try await disks[1].guestView()]
                #expect(set.filesystem.isRepaired(gather(Self.linear, from: views)))
                #expect(set.filesystem.isRepaired(gather(Self.striped, from: views)))
            }
        }

        @Test func `a volume that lacks a physical volume is not checked, and stays as it is`() async throws {
            let set = try await makeDisks()
            let disk = try await set.disks[0].copy("half.raw", format: "raw")
            let content = try disk.content()
            try await VM.withDomain([disk]) { domain in
                let run = try await VM.repair(domain, engine: .nbd)
                #expect(run.exitStatus == 4, "\(run)")
                for name in ["guest-vg/linear", "guest-vg/striped"] {
                    #expect(run.volume(name)?.outcome == "not-checked")
                    #expect(run.volume(name)?.message.contains("physical volume") == true)
                }
                #expect(try disk.content() == content)
            }
        }

        private typealias Piece = (disk: Int, range: Range<Int>)

        /// 3 extents of 4 MiB on the first disk, 3 on the second.
        private static let linear: [Piece] = [0, 1].map { ($0, mebibyte..<13 * mebibyte) }
        /// After them, 3 extents on each, in turns of 64 KiB.
        private static let striped: [Piece] = (0..<24 * mebibyte / chunk).map { number in
            let start = 13 * mebibyte + number / 2 * chunk
            return (number % 2, start..<start + chunk)
        }

        /// Two disks with a volume group over them, and one damaged filesystem in each of its volumes.
        private func makeDisks() async throws -> (disks: [Disk], filesystem: DamagedFilesystem) {
            let disks = try ["span-0", "span-1"].map { try Disk.make($0, size: 32 << 20) }
            try await LVMLayout.make(
                disks.map(\.path),
                [
                    ["vgcreate", "guest-vg", "@0", "@1"],
                    LVMLayout.lvcreate + ["-L", "12M", "-n", "linear", "guest-vg", "@0"],
                    ["lvextend", "-L", "24M", "guest-vg/linear", "@1"],
                    LVMLayout.lvcreate + ["-i2", "-I64k", "-L", "24M", "-n", "striped", "guest-vg"],
                ])
            let filesystem = try await DamagedFilesystem.ext("ext4", size: 24 << 20)
            for pieces in [Self.linear, Self.striped] {
                var offset = 0
                for piece in pieces {
                    let bytes = filesystem.damaged.subdata(in: offset..<offset + piece.range.count)
                    try disks[piece.disk].write(bytes, at: piece.range.lowerBound)
                    offset += piece.range.count
                }
            }
            return (disks, filesystem)
        }

        private func gather(_ pieces: [Piece], from views: [Data]) -> Data {
            pieces.reduce(into: Data()) { $0 += views[$1.disk].subdata(in: $1.range) }
        }
    }
}
