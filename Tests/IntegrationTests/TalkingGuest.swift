import Foundation
import Glibc
import TestSupport
import Testing

/// A domain whose guest is a boot sector that says something on the console, and whose partition holds a damaged ext4.
struct TalkingGuest: Sendable {
    static let login = "\r\ntest login: "
    static let panic = "\r\nKernel panic - not syncing: x\r\n"
    static let silence = ""

    let shop: Workshop
    let image: String
    private let set: DiskSet
    private let storage: Storage

    /// - Parameters:
    ///   - devices: a console to talk on, and what else.
    ///   - extra: elements of the domain beside its devices.
    init(
        _ shop: Workshop, saying words: String, then end: BootSector.End = .stops, _ storage: Storage = .qcow2,
        devices: String = "<serial type='pty'/>", extra: String = "", on libvirt: PrivateLibvirt = .shared
    ) async throws {
        self.shop = shop
        self.storage = storage
        set = try await DiskSet.make(.mbrPrimary, size: Filesystem.ext4.size, in: shop.folder)
        let filesystem = "\(shop.folder)/fs"
        try await Filesystem.ext4.make(at: filesystem)
        try await Filesystem.ext4.damage(filesystem)
        try set.embed(filesystem, in: set.volume("vda1"))
        try BootSector.install(saying: words, then: end, on: set.paths[0])
        image = "\(shop.disks)/disk.\(storage.format)"
        try await storage.make(image, from: set.paths[0], over: nil)
        // Only with ACPI there is something that powers it off.
        try await shop.define(
            [Workshop.disk(image, format: storage.format) + devices],
            extra: "<features><acpi/></features>" + extra, on: libvirt)
    }

    /// Whether the disk is, bit for bit, what it was.
    func isUntouched() async throws -> Bool {
        try await Tool.run("cmp", ["--quiet", set.paths[0], content()]).exitStatus == 0
    }

    /// Whether the filesystem on the disk is what the bare checker makes of the damaged one, and all around it what it was.
    func expectRepaired() async throws {
        var after = set
        after.paths = [try await content()]
        try await expectSameRepair(.ext4, set.volume("vda1"), before: set, after: after, in: shop)
        try await expectSame(set, after, in: shop)
    }

    /// The journal and the overlay of a run whose end is open.
    func remains() -> [String] {
        let journals = (try? FileManager.default.contentsOfDirectory(atPath: "/var/lib/virt-fsck/journal")) ?? []
        let disks = (try? FileManager.default.contentsOfDirectory(atPath: shop.disks)) ?? []
        return disks.filter { $0.contains(".virt-fsck-") }
            + journals.filter {
                (try? String(contentsOfFile: "/var/lib/virt-fsck/journal/\($0)", encoding: .utf8))?
                    .contains(shop.name) == true
            }
    }

    /// What the console said, by the file in the run's folder.
    func consoleLogs() -> [String] {
        let folder = "/var/log/virt-fsck"
        let runs = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return runs.filter { $0.hasPrefix("\(shop.name)-") }.compactMap {
            try? String(contentsOfFile: "\(folder)/\($0)/console.log", encoding: .utf8)
        }
    }

    func afterBoot(_ more: String...) async throws -> VirtFsck.Run {
        try await VirtFsck.run(["repair", "--commit", "after-boot", "--json"] + more + [shop.name])
    }

    func recover(_ more: String...) async throws -> VirtFsck.Run {
        try await VirtFsck.run(["recover"] + more + [shop.name])
    }

    /// The disk's content as the guest sees it, in a raw file.
    private func content() async throws -> String {
        let raw = "\(shop.folder)/content-\(UUID().uuidString).raw"
        // A domain that runs has the image's lock.
        try await Tool.output(of: "qemu-img", ["convert", "-U", "-f", storage.format, "-O", "raw", image, raw])
        return raw
    }
}
