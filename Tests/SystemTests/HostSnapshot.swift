import Foundation
import TestSupport

/// What is attached, mapped, running and lying about on the host at one moment. Two that are equal: nothing was left.
struct HostSnapshot: Hashable, CustomStringConvertible {
    /// nbd devices that have a size or a process.
    var nbd: Set<String> = []
    /// Loop devices with their files.
    var loops: Set<String> = []
    /// Names of device-mapper's devices.
    var mapped: Set<String> = []
    /// Folders and overlays of runs.
    var files: Set<String> = []
    /// Programs that virt-fsck starts.
    var processes: Set<String> = []
    /// FUSE files.
    var mounts: Set<String> = []

    static func take() -> HostSnapshot {
        var snapshot = HostSnapshot()
        for device in contents("/sys/block") {
            let folder = "/sys/block/\(device)"
            if device.hasPrefix("nbd"), text("\(folder)/size") != "0" || exists("\(folder)/pid") {
                snapshot.nbd.insert(device)
            }
            if exists("\(folder)/loop") { snapshot.loops.insert("\(device) \(text("\(folder)/loop/backing_file"))") }
            if exists("\(folder)/dm") { snapshot.mapped.insert(text("\(folder)/dm/name")) }
        }
        for folder in ["/run/virt-fsck", "/dev/virt-fsck"] {
            snapshot.files.formUnion(contents(folder).map { "\(folder)/\($0)" })
        }
        let overlays = contents(VM.scratch).filter { $0.contains(".virt-fsck-") }
        snapshot.files.formUnion(overlays.map { "\(VM.scratch)/\($0)" })
        let programs = [
            "qemu-storage-daemon", "qemu-nbd", "sleep", "bwrap", "setpriv", "e2fsck", "fsck.fat", "xfs_repair",
            "virt-fsck",
        ]
        for process in processes where programs.contains(String(process.program.split(separator: "/").last ?? "")) {
            snapshot.processes.insert("\(process.id) \(process.command)")
        }
        let mounts = text("/proc/self/mounts").split(separator: "\n")
        snapshot.mounts = Set(mounts.filter { $0.contains("/run/virt-fsck") }.map(String.init))
        return snapshot
    }

    var description: String {
        (nbd.sorted() + loops.sorted() + mapped.sorted() + files.sorted() + processes.sorted() + mounts.sorted())
            .joined(separator: "\n")
    }

    /// A running process.
    struct HostProcess {
        var id: Int32
        var words: [String]
        var program: String { words.first ?? "" }
        var command: String { words.joined(separator: " ") }
    }

    /// Every process that has a command line and has not ended.
    static var processes: [HostProcess] {
        contents("/proc").compactMap { Int32($0) }.compactMap { id in
            let words = text("/proc/\(id)/cmdline").split(separator: "\0").map(String.init)
            return words.isEmpty ? nil : HostProcess(id: id, words: words)
        }
    }

    static func contents(_ folder: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    static func text(_ path: String) -> String {
        guard let data = FileManager.default.contents(atPath: path) else { return "" }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
