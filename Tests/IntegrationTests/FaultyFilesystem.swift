import Foundation
import TestSupport

/// A filesystem on a disk that fails as it is told to: ext4 over a loop device over a FUSE file of a storage daemon of the
/// test's own, with QEMU's blkdebug in it while something shall fail. It has no journal: one that can't be written would make the
/// filesystem read-only for good.
struct FaultyFilesystem: Sendable {
    /// What fails.
    enum Request: String, CaseIterable, Sendable {
        case read
        case write
        case flush
    }

    /// Where it is mounted. Not below the workshop's folder, in which no overlay may be: /var/tmp does not survive a reboot.
    let folder: String

    private let device: String
    private let socket: String

    /// Makes one for the time of `body`.
    static func with(_ shop: Workshop, _ body: (FaultyFilesystem) async throws -> Void) async throws {
        let faulty = FaultyFilesystem(
            folder: "/var/lib/virt-fsck/overlays/\(shop.name)", device: "\(shop.folder)/faulty",
            socket: "\(shop.folder)/faulty.sock")
        for folder in ["/var/lib/virt-fsck/overlays", faulty.folder] {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
        }
        // Without direct I/O: QEMU's export confuses writes that it gets at once.
        try await faulty.bash(
            """
            truncate -s 64M $device.img && mkfs.ext4 -q -F -b 4096 -O ^has_journal -E lazy_itable_init=0 $device.img
            : >$device
            setsid qemu-storage-daemon --chardev socket,id=qmp,path=$socket,server=on,wait=off --monitor qmp \\
              --blockdev driver=file,node-name=plain,filename=$device.img --blockdev driver=raw,node-name=top,file=plain \\
              --export type=fuse,id=export,node-name=top,mountpoint=$device,writable=on \\
              >$device.log 2>&1 </dev/null & echo $! >$device.pid
            until [ -s $device ] && [ -S $socket ]; do kill -0 $(cat $device.pid); sleep 0.02; done
            losetup --find --show $device >$device.loop
            mount -o noatime $(cat $device.loop) $folder && chmod 755 $folder
            """)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(faulty))
        } catch {
            result = .failure(error)
        }
        try? await faulty.qmp(reopen("plain"))
        try await faulty.bash(
            """
            umount $folder; rmdir $folder; losetup -d $(cat $device.loop)
            pid=$(cat $device.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done
            """)
        try result.get()
    }

    /// From now on requests fail with EIO.
    ///
    /// - Parameters:
    ///   - sector: of the device, 512 bytes; nil for all.
    ///   - times: how many of them; nil for all to come.
    func fail(_ requests: [Request], sector: Int? = nil, times: Int? = nil) async throws {
        let rules = requests.flatMap { request in
            let rule =
                #"{"event":"none","errno":5,"iotype":"\#(request.rawValue)""#
                + (sector.map { #","sector":\#($0)"# } ?? "")
                + (times == nil ? "}" : #","once":true}"#)
            return Array(repeating: rule, count: times ?? 1)
        }
        try await qmp(
            """
            {"execute":"blockdev-add","arguments":{"driver":"blkdebug","node-name":"bad","image":"plain",
            "inject-error":[\(rules.joined(separator: ","))]}}
            """, Self.reopen("bad"))
    }

    /// From now on nothing fails.
    func heal() async throws {
        // Changing the nodes flushes, which may be what fails a number of times.
        var failure: (any Error)?
        for _ in 0..<100 {
            do {
                try await qmp(Self.reopen("plain"), #"{"execute":"blockdev-del","arguments":{"node-name":"bad"}}"#)
                try await forgetErrors()
                return
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// A write in the background that failed is told to whoever syncs next (errseq_t of the kernel's lib/errseq.c), be it minutes later.
    private func forgetErrors() async throws {
        try await bash(
            """
            for try in $(seq 50); do
              if sync -f $folder && : > $folder/probe && sync $folder/probe $folder && rm $folder/probe; then exit; fi
              sleep 0.1
            done
            exit 1
            """)
    }

    /// Makes the host forget what it has read of a file.
    func forget(_ file: String) async throws {
        try await bash(
            "sync -f \(file); for cached in \(file) $device; do dd if=$cached iflag=nocache count=0 status=none; done")
    }

    /// The sector of the device that a byte of a file is in.
    func sector(of file: String, at offset: Int) async throws -> Int {
        try await bash("sync -f \(file)")
        for line in try await Tool.output(of: "filefrag", ["-v", "-b4096", file]).split(separator: "\n") {
            let numbers = line.split { !$0.isNumber }.compactMap { Int($0) }
            guard numbers.count >= 6, line.contains(".."), (numbers[1]...numbers[2]).contains(offset / 4096) else {
                continue
            }
            return (numbers[3] + offset / 4096 - numbers[1]) * 8 + offset % 4096 / 512
        }
        throw NoPlace(file: file, offset: offset)
    }

    /// A byte of a file that has no place on the device.
    private struct NoPlace: Error {
        let file: String
        let offset: Int
    }

    private static func reopen(_ node: String) -> String {
        #"{"execute":"blockdev-reopen","arguments":{"options":[{"driver":"raw","node-name":"top","file":"\#(node)"}]}}"#
    }

    private func qmp(_ commands: String...) async throws {
        let program = """
            import json, socket, sys
            link = socket.socket(socket.AF_UNIX)
            link.connect(sys.argv[1])
            stream = link.makefile("rw")
            stream.readline()
            for command in ['{"execute":"qmp_capabilities"}'] + sys.argv[2:]:
                stream.write(command.replace("\\n", " ") + "\\n")
                stream.flush()
                answer = {"event": ""}
                while "event" in answer:
                    answer = json.loads(stream.readline())
                if "error" in answer:
                    sys.exit(str(answer))
            """
        try await Tool.output(of: "python3", ["-c", program, socket] + commands)
    }

    @discardableResult
    private func bash(_ script: String) async throws -> String {
        try await Tool.output(
            of: "timeout",
            ["-k", "5", "60", "bash", "-ec", script],
            environment: ["device": device, "socket": socket, "folder": folder])
    }
}
