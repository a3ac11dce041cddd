import Foundation
import Glibc
import HostTools
import SystemPackage
import Testing

/// A folder of one test, gone with it.
final class ScratchFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/hosttools-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// The path of a file in it.
    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// A program of the test's own: a shell script.
    func program(_ name: String, _ script: String) throws {
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(filePath: file(name)))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file(name))
    }

    /// A runner that finds the test's programs first.
    var runner: HostCommandRunner { HostCommandRunner(folders: [path] + HostCommandRunner.searchPath) }

    /// A file of `size` bytes without content.
    func sparseFile(_ name: String, size: Int64) throws -> String {
        let descriptor = try FileDescriptor.open(
            FilePath(file(name)), .readWrite, options: [.create, .truncate], permissions: .ownerReadWrite)
        defer { try? descriptor.close() }
        try descriptor.resize(to: size)
        return file(name)
    }

    /// Opens a new file as a log.
    func log(_ name: String = "log") throws -> FileDescriptor {
        try FileDescriptor.open(
            FilePath(file(name)), .writeOnly, options: [.create, .append], permissions: .ownerReadWrite)
    }

    func text(_ name: String) throws -> String { try String(contentsOfFile: file(name), encoding: .utf8) }

    func write(_ text: String, to name: String) throws { try Data(text.utf8).write(to: URL(filePath: file(name))) }
}

/// Waits for something to become true. The limit is for what hangs: the machine may do much else.
func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(180)
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(5))
    }
    return try await condition()
}

/// Whether a process exists that is no zombie.
func isAlive(_ pid: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    let state = text.split(separator: ")").last?.split(separator: " ").first
    return state != "Z" && state != "X"
}

/// The process id that a program of the test wrote into a file.
func readPID(_ path: String) -> Int32? {
    (try? String(contentsOfFile: path, encoding: .utf8)).flatMap { text in
        text.hasSuffix("\n") ? Int32(text.dropLast()) : nil
    }
}

let isRoot = getuid() == 0
let hasFUSEExport =
    isRoot && access("/dev/fuse", R_OK) == 0 && access("/dev/loop-control", F_OK) == 0
    && HostCommandRunner().path(of: "qemu-storage-daemon") != nil
