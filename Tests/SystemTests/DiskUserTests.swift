import Foundation
import Glibc
import TestSupport
import Testing

extension SystemTests {
    /// Users of a disk that need a host of their own: devices that every run on a host looks at.
    @Suite struct DiskUsers {
        /// How the host uses a disk.
        enum Use: String, CaseIterable {
            case nbd, mapped, encrypted, swap
        }

        @Test(arguments: Use.allCases)
        func `a disk that the host uses by another device`(_ use: Use) async throws {
            let disk = try await Self.damagedDisk("used-\(use).raw")
            try await VM.withDomain([disk]) { domain in
                if use == .nbd { try await Tool.output(of: "modprobe", ["nbd"]) }
                let before = HostSnapshot.take()
                let (words, end) = try await begin(use, of: disk)
                let content = try disk.content()
                for verb in ["check", "repair"] {
                    let run = try await VM.virtFsck(verb, domain, "--quiet")
                    #expect(run.exitStatus == 8, "\(run)")
                    for word in words { #expect(run.errorOutput.contains(word), "\(word) is not in: \(run)") }
                    #expect(try disk.content() == content)
                }
                try await end()
                _ = await eventually { HostSnapshot.take() == before }
                #expect(HostSnapshot.take() == before)
            }
        }

        @Test func `a loop device over a file that does not answer holds up no disk but its own`() async throws {
            let disk = try await Self.damagedDisk("beside-silence.raw")
            let behind = try Disk.make("behind.raw", size: 16 << 20)
            let place = "\(VM.scratch)/exported"
            try await VM.withDomain([disk]) { domain in
                let silent = try await SilentFile(at: place, over: behind.path)
                defer { silent.end() }
                let loop = try await losetup(place)
                silent.stop()
                let run = try await VM.virtFsck("repair", domain, "--no-start", "--json", "--engine", "fuse")
                silent.goOn()
                #expect(run.exitStatus == 1, "\(run)")
                let name = URL(filePath: loop).lastPathComponent
                #expect(
                    run.domain?.warnings?.contains { $0.contains(name) && $0.contains("has not answered") } == true,
                    "\(run)")
                try await Tool.output(of: "losetup", ["--detach", loop])
            }
        }

        /// Without LVM: udev would activate it where the disk is shown to the host.
        private static func damagedDisk(_ name: String) async throws -> Disk {
            let filesystem = try await DamagedFilesystem.ext("ext4", size: 16 << 20)
            let disk = try Disk.make(name, size: 16 << 20)
            try disk.write(filesystem.damaged, at: 0)
            return disk
        }

        /// - Returns: what a refusal says of it, and how it is ended.
        private func begin(_ use: Use, of disk: Disk) async throws -> ([String], () async throws -> Void) {
            if use == .nbd {
                try await Tool.output(of: "qemu-nbd", ["-f", "raw", "-r", "-c", "/dev/nbd0", disk.path])
                #expect(await eventually { HostSnapshot.take().nbd == ["nbd0"] })
                return (
                    ["/dev/nbd0", "in use on this host"],
                    { try await Tool.output(of: "qemu-nbd", ["-d", "/dev/nbd0"]) }
                )
            }
            let loop = try await losetup(disk.path)
            func detach() async throws { try await Tool.output(of: "losetup", ["--detach", loop]) }
            switch use {
            case .swap:
                try await Tool.output(of: "mkswap", [loop])
                try await Tool.output(of: "swapon", [loop])
                return (
                    [loop, "swapoff"],
                    {
                        try await Tool.output(of: "swapoff", [loop])
                        try await detach()
                    }
                )
            default:
                let sectors = try disk.content().count / 512
                let table =
                    use == .mapped
                    ? "0 \(sectors) linear \(loop) 0"
                    : "0 \(sectors) crypt aes-xts-plain64 \(String(repeating: "0f", count: 32)) 0 \(loop) 0"
                _ = try await Tool.run("modprobe", ["dm-crypt"])
                try await Tool.output(of: "dmsetup", ["create", "other-user", "--table", table])
                return (
                    ["other-user", "dmsetup remove"],
                    {
                        try await Tool.output(of: "dmsetup", ["remove", "--retry", "other-user"])
                        try await detach()
                    }
                )
            }
        }

        private func losetup(_ path: String) async throws -> String {
            try await Tool.output(of: "losetup", ["--find", "--show", path])
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }
}
