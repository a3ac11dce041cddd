import Foundation
import Glibc

/// What a run could leave on the host. Other people's work on the same machine is not looked at: only what carries the name
/// of a run of ours, or holds a file in the test's folder.
public enum HostState {
    /// What is left of the runs on some domains; empty is how it should be.
    ///
    /// - Parameters:
    ///   - runs: the runs' names, which their folders, devices and overlays carry.
    ///   - folder: where the test has its disks.
    public static func leftovers(ofRuns runs: [String], in folder: String) async throws -> [String] {
        var found: [String] = []
        for run in runs {
            for path in ["/run/virt-fsck/\(run)", "/dev/virt-fsck/\(run)"]
            where FileManager.default.fileExists(atPath: path) {
                found.append(path)
            }
            let mounts = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
            found += mounts.split(separator: "\n").filter { $0.contains(run) }.map { "mount: \($0)" }
        }
        for device in contents("/sys/block") {
            let backing = read("/sys/block/\(device)/loop/backing_file")
            let name = read("/sys/block/\(device)/dm/name")
            let marks = runs + [folder + "/"]
            if marks.contains(where: { backing.contains($0) || name.contains($0) }) {
                found.append("\(device): \(backing)\(name)")
            }
            // A device without its process, or with a process of ours.
            let pid = read("/sys/block/\(device)/pid")
            if !pid.isEmpty, runs.contains(where: { read("/proc/\(pid)/cmdline").contains($0) }) {
                found.append("\(device): connected by process \(pid)")
            }
            if device.hasPrefix("nbd"), read("/sys/block/\(device)/size") != "0", read("/proc/\(pid)/cmdline").isEmpty {
                found.append("\(device): has a size, and no process")
            }
        }
        for pid in contents("/proc") where Int(pid) != nil {
            if let why = reason(process: pid, runs: runs, folder: folder) { found.append("process \(pid): \(why)") }
        }
        if let files = FileManager.default.enumerator(atPath: folder) {
            found += files.compactMap { $0 as? String }.filter { $0.contains(".virt-fsck-") }.map { "\(folder)/\($0)" }
        }
        return found
    }

    /// What runs on a domain leave under its UUID: journal and lock.
    public static func leftovers(ofDomain uuid: String) -> [String] {
        ["/var/lib/virt-fsck/journal", "/run/virt-fsck"].flatMap { folder in
            contents(folder).filter { $0.hasPrefix(uuid) }.map { "\(folder)/\($0)" }
        }
    }

    /// Kills every process that some runs have started.
    public static func killAll(ofRuns runs: [String]) {
        for pid in contents("/proc").compactMap({ Int32($0) }) where run(ofProcess: "\(pid)", among: runs) != nil {
            kill(pid, SIGKILL)
        }
    }

    /// The names of the runs that were made on a domain, by the folders of their logs.
    public static func runs(onDomain name: String) -> [String] {
        logs(ofDomain: name).compactMap { $0.split(separator: "-").last.map(String.init) }
    }

    /// The last line that the checker of a domain's `vda` printed; "" where there is none.
    public static func checkersOutput(ofDomain name: String) -> String {
        logs(ofDomain: name).map { read("/var/log/virt-fsck/\($0)/vda.log") }
            .flatMap { $0.split(separator: "\n") }.last.map(String.init) ?? ""
    }

    /// Removes a domain's logs.
    public static func removeLogs(ofDomain name: String) {
        for log in logs(ofDomain: name) { try? FileManager.default.removeItem(atPath: "/var/log/virt-fsck/\(log)") }
    }

    /// Names of the folders with the logs of a domain's runs.
    public static func logs(ofDomain name: String) -> [String] {
        contents("/var/log/virt-fsck").filter { $0.hasPrefix("\(name)-") }
    }

    /// A process is ours when it names a run, or has open what is in the test's folder or a run's; qemu itself is libvirt's.
    private static func reason(process pid: String, runs: [String], folder: String) -> String? {
        let command = read("/proc/\(pid)/cmdline").replacing("\0", with: " ")
        guard !command.hasPrefix("/usr/bin/qemu-system"), !command.contains("/libvirtd.pid") else { return nil }
        if let run = runs.first(where: { command.contains($0) }) ?? run(ofProcess: pid, among: runs) {
            return "\(command) (run \(run))"
        }
        for descriptor in contents("/proc/\(pid)/fd") {
            guard let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(descriptor)")
            else { continue }
            if link.hasPrefix(folder + "/") || runs.contains(where: { link.contains($0) }) {
                return "\(command) has \(link) open"
            }
        }
        return nil
    }

    /// A process by its program's name that has a file open in a folder; nil where there is none.
    public static func process(_ program: String, holding folder: String) -> Int32? {
        contents("/proc").compactMap { Int32($0) }.first { pid in
            // The kernel cuts names to 15 bytes.
            read("/proc/\(pid)/comm") == program.prefix(15)
                && contents("/proc/\(pid)/fd").contains { descriptor in
                    let link = try? FileManager.default.destinationOfSymbolicLink(
                        atPath: "/proc/\(pid)/fd/\(descriptor)")
                    return link?.hasPrefix(folder + "/") == true
                }
        }
    }

    /// The run that a process carries in its environment.
    private static func run(ofProcess pid: String, among runs: [String]) -> String? {
        let variables = read("/proc/\(pid)/environ").split(separator: "\0")
        return runs.first { variables.contains("VIRT_FSCK_RUN=\($0)") }
    }

    private static func contents(_ folder: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    }

    private static func read(_ path: String) -> String {
        guard let data = FileManager.default.contents(atPath: path) else { return "" }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
