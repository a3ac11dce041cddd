import CLinux
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import HostTools

struct FilesTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    @Test func `a folder is made with those above it, and again without harm`() throws {
        try Files.makeFolder(folder.file("a/b/c"), mode: 0o711)
        for name in ["a", "a/b", "a/b/c"] {
            let status = try FileStatus(of: folder.file(name))
            #expect(status.kind == .directory)
            #expect(status.mode == 0o711)
        }
        try Files.makeFolder(folder.file("a/b/c"))
    }

    @Test func `the folders made above one of root's own let others pass`() throws {
        try Files.makeFolder(folder.file("lib/journal"))
        #expect(try FileStatus(of: folder.file("lib/journal")).mode == 0o700)
        #expect(try FileStatus(of: folder.file("lib")).mode == 0o711)
    }

    @Test func `a folder under a file can't be made`() throws {
        let file = try folder.sparseFile("file", size: 0)
        #expect(throws: Errno.notDirectory) { try Files.makeFolder(file + "/sub") }
    }

    @Test func `only an empty folder is removed, and one that is gone is fine`() throws {
        try Files.makeFolder(folder.file("a"))
        try Files.create(folder.file("a/file"))
        #expect(throws: Errno.directoryNotEmpty) { try Files.removeFolder(folder.file("a")) }
        try Files.remove(folder.file("a/file"))
        try Files.remove(folder.file("a/file"))
        try Files.removeFolder(folder.file("a"))
        try Files.removeFolder(folder.file("a"))
        #expect(!Files.exists(folder.file("a")))
    }

    @Test func `a file is made for root only, and never over another`() throws {
        try Files.create(folder.file("new"))
        #expect(try FileStatus(of: folder.file("new")).mode == 0o600)
        #expect(throws: Errno.fileExists) { try Files.create(folder.file("new")) }
        // Nor through a link that somebody put there.
        symlink(folder.file("elsewhere"), folder.file("link"))
        #expect(throws: Errno.fileExists) { try Files.create(folder.file("link")) }
        #expect(!Files.exists(folder.file("elsewhere")))
    }

    @Test(arguments: [("/a/b", "/a"), ("/a", "/"), ("a", "/"), ("/a/b/", "/a/b"), ("/", "/"), ("", "/")])
    func `the folder of a path`(path: String, folder: String) {
        #expect(Files.folder(of: path) == folder)
    }

    @Test func `syncing what is not there is an error`() throws {
        #expect(throws: Errno.noSuchFileOrDirectory) { try Files.sync(folder.file("missing")) }
        #expect(throws: Errno.noSuchFileOrDirectory) { try Files.syncFilesystem(of: folder.file("missing")) }
        try Files.sync(folder.path)
        try Files.syncFilesystem(of: folder.path)
    }

    @Test func `syncing a descriptor that can't be synced is an error`() throws {
        let pipe = try FileDescriptor.pipe()
        defer {
            try? pipe.readEnd.close()
            try? pipe.writeEnd.close()
        }
        #expect(throws: Errno.invalidArgument) { try Files.sync(pipe.writeEnd) }
    }

    @Test func `the time is written without separators`() {
        #expect(Files.timestamp().wholeMatch(of: /20\d{6}T\d{6}Z/) != nil)
    }

    @Test func `two paths of one file have one identity`() throws {
        let path = try folder.sparseFile("file", size: 1234)
        link(path, folder.file("hard"))
        symlink(path, folder.file("soft"))
        let other = try folder.sparseFile("other", size: 1234)
        let status = try FileStatus(of: path)
        #expect(status.kind == .regular && status.size == 1234)
        #expect(try FileStatus(of: folder.file("hard")).identity == status.identity)
        #expect(try FileStatus(of: folder.file("soft")).identity == status.identity)
        #expect(try FileStatus(of: other).identity != status.identity)
        #expect(try FileStatus(of: "/dev/null").kind == .other)
        #expect(throws: Errno.noSuchFileOrDirectory) { try FileStatus(of: folder.file("missing")) }
    }

    @Test(.enabled(if: isRoot, "needs root")) func `a change of content changes the time that is compared`() throws {
        let path = try folder.sparseFile("file", size: 0)
        var times = [timespec(tv_sec: 1, tv_nsec: 2), timespec(tv_sec: 3, tv_nsec: 4)]
        #expect(utimensat(AT_FDCWD, path, &times, 0) == 0)
        #expect(try FileStatus(of: path).modified == 3_000_000_004)
    }
}

@Suite(.enabled(if: isRoot, "needs root"))
struct FileAttributesTests {
    private let folder: ScratchFolder

    init() throws {
        folder = try ScratchFolder()
    }

    @Test func `owner, group and mode go to the other file`() throws {
        let from = try folder.sparseFile("from", size: 0)
        let to = try folder.sparseFile("to", size: 0)
        chown(from, 1234, 5678)
        chmod(from, 0o4640)
        try FileAttributes(of: from).apply(to: to)
        let status = try FileStatus(of: to)
        #expect(status.userID == 1234)
        #expect(status.groupID == 5678)
        // chown(2) clears the set-user-ID bit: the mode must come after it.
        #expect(status.mode == 0o4640)
        #expect(try FileAttributes(of: from) == FileAttributes(of: to))
    }

    @Test(.enabled(if: HostCommandRunner().path(of: "setfacl") != nil, "needs setfacl"))
    func `an access control list goes along`() async throws {
        let from = try folder.sparseFile("from", size: 0)
        let to = try folder.sparseFile("to", size: 0)
        let runner = HostCommandRunner()
        try await runner.output(of: Command("setfacl", "-m", "u:4321:rw", from))
        try FileAttributes(of: from).apply(to: to)
        let list = try await runner.output(of: Command("getfacl", "-nc", to))
        #expect(list.contains("user:4321:rw-"))
    }

    @Test func `libvirt's notes about the disk stay with the disk`() throws {
        let from = try folder.sparseFile("from", size: 0)
        let to = try folder.sparseFile("to", size: 0)
        try set(from, "trusted.libvirt.security.dac", "+0:+0")
        try set(from, "trusted.other", "kept")
        try FileAttributes(of: from).apply(to: to)
        #expect(get(to, "trusted.other") == "kept")
        #expect(get(to, "trusted.libvirt.security.dac") == nil)
    }

    @Test func `a file gets back what it had, and loses what it got`() throws {
        let path = try folder.sparseFile("disk", size: 0)
        chown(path, 1234, 5678)
        chmod(path, 0o640)
        try set(path, "user.kept", "old")
        try set(path, "user.gone", "x")
        let before = try FileAttributes(of: path)
        chown(path, 64055, 0)
        chmod(path, 0o600)
        try set(path, "user.kept", "new")
        try set(path, "user.added", "x")
        #expect(removexattr(path, "user.gone") == 0)
        try before.restore(path)
        #expect(try FileAttributes(of: path) == before)
        #expect(get(path, "user.added") == nil)
        #expect(get(path, "user.kept") == "old")
        let status = try FileStatus(of: path)
        #expect(status.userID == 1234 && status.groupID == 5678 && status.mode == 0o640)
    }

    @Test func `an access control list is restored, with the mode that it makes`() throws {
        let path = try folder.sparseFile("disk", size: 0)
        // acl(5) as the kernel keeps it (linux/posix_acl_xattr.h): the owner rw, user 4321 rw, group r, mask rw, others nothing.
        var list: [UInt8] = [2, 0, 0, 0]
        for (tag, permissions, id) in [(1, 6, -1), (2, 6, 4321), (4, 4, -1), (0x10, 6, -1), (0x20, 0, -1)] {
            list += [UInt8(tag), 0, UInt8(permissions), 0]
            list += withUnsafeBytes(of: Int32(id).littleEndian) { Array($0) }
        }
        try #require(setxattr(path, "system.posix_acl_access", list, list.count, 0) == 0, "setxattr: \(errno)")
        let before = try FileAttributes(of: path)
        #expect(before.hasACL)
        #expect(removexattr(path, "system.posix_acl_access") == 0)
        chmod(path, 0o600)
        #expect(try FileAttributes(of: path) != before)
        try before.restore(path)
        #expect(try FileAttributes(of: path) == before)
        #expect(try FileStatus(of: path).mode == 0o660)
    }

    @Test func `a file that has everything is not touched`() throws {
        let path = try folder.sparseFile("disk", size: 0)
        let before = try FileStatus(of: path)
        try FileAttributes(of: path).restore(path)
        #expect(try FileStatus(of: path) == before)
    }

    @Test func `a file that is not there is an error`() throws {
        #expect(throws: Errno.noSuchFileOrDirectory) { try FileAttributes(of: folder.file("missing")) }
        let attributes = try FileAttributes(of: folder.path)
        #expect(throws: Errno.noSuchFileOrDirectory) { try attributes.apply(to: folder.file("missing")) }
    }

    private func set(_ path: String, _ name: String, _ value: String) throws {
        let bytes = Array(value.utf8)
        try #require(setxattr(path, name, bytes, bytes.count, 0) == 0, "setxattr: \(errno)")
    }

    private func get(_ path: String, _ name: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 100)
        let count = getxattr(path, name, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    @Test func `a time that is too far away for nanoseconds is the farthest`() throws {
        #expect(FileStatus.nanoseconds(timespec(tv_sec: 5, tv_nsec: 7)) == 5_000_000_007)
        #expect(FileStatus.nanoseconds(timespec(tv_sec: 10_413_792_000, tv_nsec: 0)) == .max)
        #expect(FileStatus.nanoseconds(timespec(tv_sec: .max, tv_nsec: 999_999_999)) == .max)
        #expect(FileStatus.nanoseconds(timespec(tv_sec: .min, tv_nsec: 0)) == .min)
    }
}
