import Foundation
import TestSupport
import Testing

extension SystemTests {
    /// Guests that were cloned from one template, on a host that has a volume group of that name in use.
    @Suite struct Clones {
        /// What the host's own volume group has in common with the guests'.
        enum HostsGroup: String, CaseIterable, CustomTestStringConvertible {
            /// Name and every UUID: the host was made of the same template.
            case clone
            /// The name only.
            case namesake

            var testDescription: String { rawValue }
        }

        @Test(arguments: [(HostsGroup.clone, 8), (.namesake, 2)])
        func `clones are repaired, and the host's volume group of that name stays in use`(
            kind: HostsGroup, count: Int
        ) async throws {
            let recipe = try await RecipeDisk.shared()
            let image = try await hostImage(kind, recipe)
            try await withHostVolume(image) { folder in
                try await withClones(count, of: recipe) { disks in
                    let before = HostSnapshot.take()
                    let host = try await HostView.take(folder, image)
                    let run = try await VM.virtFsck(
                        "repair", "--all", "--yes", "--json", "--no-start", "--engine", "nbd", "--jobs", "2",
                        "--include", "clone*")
                    try await Tool.output(of: "udevadm", ["settle"])
                    #expect(run.exitStatus == 1, "\(run)")
                    let rows = run.report?.domains ?? []
                    #expect(rows.count == count)
                    #expect(
                        rows.allSatisfy { $0.outcome == "repaired" && $0.committed && $0.engine == "nbd" }, "\(run)")
                    #expect(HostSnapshot.take() == before)
                    let after = try await HostView.take(folder, image)
                    #expect(after == host)
                    for disk in disks { #expect(try recipe.isRepaired(try await disk.guestView()), "\(disk.path)") }
                    print("\(count) clones, host's group a \(kind): \(run.seconds) s")
                }
            }
            image.remove()
        }

        /// What somebody on the host sees of its volume group.
        private struct HostView: Hashable {
            var groups: String
            var volumes: String
            var tables: String
            var mounts: [Substring]
            var text: String
            /// Every block, the filesystem's and LVM's own.
            var blocks: String

            static func take(_ folder: String, _ image: Disk) async throws -> HostView {
                // Nothing that is still to be written.
                try await Tool.output(of: "sync", ["-f", "\(folder)/text"])
                return HostView(
                    groups: try await Tool.output(
                        of: "vgs", ["--noheadings", "-o", "vg_name,vg_uuid,vg_attr,vg_seqno,pv_name,pv_uuid"]),
                    volumes: try await Tool.output(
                        of: "lvs", ["--noheadings", "-o", "lv_name,lv_uuid,lv_attr,devices"]),
                    tables: try await Tool.output(of: "dmsetup", ["table"]),
                    mounts: HostSnapshot.text("/proc/self/mounts").split(separator: "\n").filter {
                        $0.contains(folder)
                    },
                    text: HostSnapshot.text("\(folder)/text"),
                    blocks: try await Tool.output(of: "sha256sum", [image.path]))
            }
        }

        /// A physical volume for the host with a sound filesystem in VolGroup00/LogVol00.
        private func hostImage(_ kind: HostsGroup, _ recipe: RecipeDisk) async throws -> Disk {
            let image = try Disk.make("host-\(kind).pv", size: RecipeDisk.partition2.count)
            switch kind {
            case .clone:
                try image.write(recipe.raw.content().subdata(in: RecipeDisk.partition2), at: 0)
            case .namesake:
                try await LVMLayout.make(
                    [image.path],
                    [
                        ["vgcreate", "VolGroup00", "@0"],
                        LVMLayout.lvcreate + ["-L", "24M", "-n", "LogVol00", "VolGroup00"],
                    ])
            }
            try image.write(
                recipe.filesystem.repaired, at: RecipeDisk.root.lowerBound - RecipeDisk.partition2.lowerBound)
            return image
        }

        /// The host's volume group is active, and its volume mounted with a file in it, for the time of `body`.
        private func withHostVolume(_ image: Disk, _ body: (String) async throws -> Void) async throws {
            let group = try await HostGroup.appear(image, name: "VolGroup00", volume: "LogVol00")
            try await Tool.output(of: "udevadm", ["settle"])
            let folder = "\(VM.scratch)/host-volume"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try await Tool.output(
                of: "mount", ["-t", "ext4", "-o", "noatime,noinit_itable", "/dev/mapper/\(group.mapped)", folder])
            try Data("the host's own\n".utf8).write(to: URL(filePath: "\(folder)/text"))
            let outcome: Result<Void, any Error>
            do { outcome = .success(try await body(folder)) } catch { outcome = .failure(error) }
            try await Tool.output(of: "umount", [folder])
            try await group.disappear()
            try outcome.get()
        }

        /// Domains that are to start with the host and don't run, on overlays over the recipe's disk, for the time of `body`.
        private func withClones(
            _ count: Int, of recipe: RecipeDisk, _ disks: [Disk] = [], _ body: ([Disk]) async throws -> Void
        ) async throws {
            guard disks.count < count else { return try await body(disks) }
            let name = "clone\(disks.count + 1)"
            let disk = Disk(path: "\(VM.scratch)/\(name).qcow2", format: "qcow2")
            try await Tool.output(
                of: "qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", recipe.raw.path, disk.path])
            try await VM.withDomain([disk], named: name) { domain in
                try await Tool.output(of: "virsh", ["--quiet", "autostart", domain])
                try await withClones(count, of: recipe, disks + [disk], body)
            }
            disk.remove()
        }
    }
}
