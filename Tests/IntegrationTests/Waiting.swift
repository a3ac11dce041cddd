import Foundation
import Glibc
import TestSupport
import Testing

/// A run that has started its guest, and waits for it to boot.
struct Waiting {
    var pid: pid_t
    var run: Task<VirtFsck.Run, any Error>
    private var log: String

    /// What it has said on standard error.
    var said: String { String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self) }

    /// Starts `virt-fsck repair --json`, and returns when that says that it waits.
    static func start(
        _ arguments: [String], on shop: Workshop, of libvirt: PrivateLibvirt = .shared
    ) async throws -> Waiting {
        let (file, log) = ("\(shop.folder)/waiting.pid", "\(shop.folder)/waiting.log")
        let wrapper = ["sh", "-c", #"echo $$ >"$0" && log=$1 && shift && exec "$@" 2>"$log""#, file, log]
        let all = ["repair", "--json", "--connect", libvirt.uri] + arguments + [shop.name]
        let run = Task { try await VirtFsck.run(wrapper, all) }
        let waiting = Waiting(pid: 0, run: run, log: log)
        let isWaiting = await eventually { waiting.said.contains("waiting for proof") }
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let pid = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        if !isWaiting { kill(pid, SIGTERM) }
        try #require(isWaiting, "\(waiting.said)")
        return Waiting(pid: pid, run: run, log: log)
    }
}
