import Foundation

/// The demo's guest: Debian's kernel, initrd and GRUB, its root on LVM. Made once for all tests of the process.
public struct DemoGuest: Sendable {
    /// Folder of `guest.qcow2` and `guest.env`.
    public let folder: String

    /// How the disk is.
    public enum Condition: String, Sendable {
        /// As it was made.
        case sound
        /// As break-guest leaves it: it stops in its initrd, and can be repaired wholly.
        case broken
        /// Broken, and its init has no content: it panics even when its filesystems are repaired.
        case hopeless
    }

    /// Why the guest can't be made here; nil where it can.
    public static let obstacle: String? = {
        guard TestHost.isUsable else { return "needs root, libvirt, QEMU and an engine" }
        let programs = [
            "mkinitramfs", "lvm", "grub-mkimage", "mke2fs", "debugfs", "sfdisk", "losetup", "mkswap", "busybox",
            "dpkg-deb", "depmod", "zstd",
        ]
        let missing = programs.filter { Tool.path(of: $0) == nil }
        guard missing.isEmpty else { return "lacks \(missing.joined(separator: ", ")): make deps" }
        guard FileManager.default.fileExists(atPath: "/usr/lib/grub/i386-pc/boot.img") else {
            return "lacks grub-pc-bin: make deps"
        }
        let lists = (try? FileManager.default.contentsOfDirectory(atPath: "/var/lib/apt/lists")) ?? []
        let variables = ProcessInfo.processInfo.environment
        guard
            lists.contains(where: { $0.contains("_Packages") }) || variables["KERNEL_DEB"] != nil
                || variables["VIRT_FSCK_TEST_GUEST"] != nil
        else { return "apt knows no kernel for the guest: apt-get update, or KERNEL_DEB=FILE" }
        return nil
    }()

    /// What the guest is made by.
    private static let scripts = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "examples/demo").path

    /// The one of this process. `VIRT_FSCK_TEST_GUEST=DIR` keeps it there between runs; `KERNEL_DEB=FILE` saves the download.
    public static func made() async throws -> DemoGuest { try await Maker.shared.made() }

    /// Its kernel, taken out once.
    public static func kernel() async throws -> Kernel { try await Maker.shared.kernel() }

    private actor Maker {
        static let shared = Maker()
        private var making: Task<DemoGuest, any Error>?
        private var extracting: Task<Kernel, any Error>?

        func kernel() async throws -> Kernel {
            let extracting =
                self.extracting
                ?? Task { try await self.made().extractKernel(to: "\(TestHost.folder)/demo-kernel") }
            self.extracting = extracting
            return try await extracting.value
        }

        func made() async throws -> DemoGuest {
            let making = self.making ?? Task { try await Self.make() }
            self.making = making
            return try await making.value
        }

        private static func make() async throws -> DemoGuest {
            let kept = ProcessInfo.processInfo.environment["VIRT_FSCK_TEST_GUEST"]
            let folder = kept ?? "\(TestHost.folder)/demo-guest"
            if !FileManager.default.fileExists(atPath: "\(folder)/guest.env") {
                try await Tool.output(of: "\(scripts)/make-guest", [folder])
            }
            return DemoGuest(folder: folder)
        }
    }

    /// Makes a disk in a condition, as a new file.
    public func disk(_ condition: Condition, at path: String) async throws {
        let made = "\(TestHost.folder)/demo-\(condition).qcow2"
        if condition != .sound, !FileManager.default.fileExists(atPath: made) {
            let draft = "\(made).draft"
            try await Tool.output(of: "cp", ["\(folder)/guest.qcow2", draft])
            let root = try value("GUEST_ROOT_OFFSET")
            if condition == .hopeless { try await emptyInit(of: draft, root: root) }
            try await Tool.output(of: "\(Self.scripts)/break-guest", [draft, root])
            try FileManager.default.moveItem(atPath: draft, toPath: made)
        }
        try await Tool.output(of: "cp", [condition == .sound ? "\(folder)/guest.qcow2" : made, path])
    }

    /// The domain's XML, as the demo has it.
    public func xml(name: String, disk: String, consoleLog: String) async throws -> String {
        try await Tool.output(of: "\(Self.scripts)/domain-xml", [name, disk, consoleLog])
    }

    /// What e2fsck says of a disk's filesystems; nil where it finds nothing.
    public func damage(on disk: String, in folder: String) async throws -> String? {
        let raw = "\(folder)/\(UUID().uuidString).raw"
        defer { try? FileManager.default.removeItem(atPath: raw) }
        try await Tool.output(of: "qemu-img", ["convert", "-O", "raw", disk, raw])
        for place in ["GUEST_ROOT_OFFSET", "GUEST_BOOT_OFFSET"] {
            let check = try await Tool.run("e2fsck", ["-fn", "\(raw)?offset=\(try value(place))"])
            guard check.exitStatus == 0 else { return check.output + check.errorOutput }
        }
        return nil
    }

    /// The guest's kernel outside of it, with what it takes to talk to virtio's ports.
    public struct Kernel: Sendable {
        /// Path of the kernel itself.
        public let image: String
        /// Paths of modules, in the order in which they load.
        public let modules: [String]

        fileprivate static let names = [
            "drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_legacy_dev",
            "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci", "drivers/char/virtio_console",
        ]
    }

    private func extractKernel(to folder: String) async throws -> Kernel {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let raw = "\(folder)/disk.raw"
        defer { try? FileManager.default.removeItem(atPath: raw) }
        try await Tool.output(of: "qemu-img", ["convert", "-O", "raw", "\(self.folder)/guest.qcow2", raw])
        let version = try value("GUEST_KERNEL")
        let boot = "\(raw)?offset=\(try value("GUEST_BOOT_OFFSET"))"
        try await Tool.output(of: "debugfs", ["-R", "dump /vmlinuz-\(version) \(folder)/vmlinuz", boot])
        let root = "\(raw)?offset=\(try value("GUEST_ROOT_OFFSET"))"
        var modules: [String] = []
        for name in Kernel.names {
            let file = "\(folder)/\(URL(filePath: name).lastPathComponent).ko"
            let inside = "/usr/lib/modules/\(version)/kernel/\(name).ko"
            try await Tool.output(of: "debugfs", ["-R", "dump \(inside) \(file)", root])
            modules.append(file)
        }
        return Kernel(image: "\(folder)/vmlinuz", modules: modules)
    }

    private func emptyInit(of disk: String, root: String) async throws {
        let raw = "\(disk).raw"
        defer { try? FileManager.default.removeItem(atPath: raw) }
        try await Tool.output(of: "qemu-img", ["convert", "-O", "raw", disk, raw])
        let commands = """
            rm /usr/bin/busybox
            write /dev/null /usr/bin/busybox
            sif /usr/bin/busybox mode 0100755

            """
        try await Tool.output(of: "debugfs", ["-w", "-f", "-", "\(raw)?offset=\(root)"], input: commands)
        try await Tool.output(of: "qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, disk])
    }

    /// A value of guest.env.
    private func value(_ name: String) throws -> String {
        let text = try String(contentsOfFile: "\(folder)/guest.env", encoding: .utf8)
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("\(name)=") }) else {
            throw ToolError(description: "\(folder)/guest.env has no \(name)")
        }
        return String(line.dropFirst(name.count + 1))
    }
}
