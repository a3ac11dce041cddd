import Foundation

/// The disks of a guest as plain files of raw content, with the places of the volumes on them.
public struct DiskSet: Sendable {
    /// How a filesystem lies on the disks.
    public enum Layout: String, CaseIterable, Sendable {
        case wholeDisk
        case mbrPrimary
        case mbrLogical
        case gpt512
        case gpt4096
        case lvm
        case lvmSegments
        case lvmTwoDisks
        case lvmStriped

        /// Bytes of a sector that the guest sees.
        public var sectorSize: Int { self == .gpt4096 ? 4096 : 512 }
    }

    /// A run of bytes of a volume, and where it is.
    public struct Piece: Sendable {
        /// Index of the disk.
        public var disk: Int
        /// Where on the disk, in bytes.
        public var offset: Int
        /// How many bytes.
        public var length: Int
    }

    /// A volume.
    public struct Volume: Sendable {
        /// As virt-fsck reports it.
        public var name: String
        /// In the volume's order.
        public var pieces: [Piece]

        /// A volume in one run of bytes of the first disk.
        public init(name: String, offset: Int, size: Int) {
            self.init(name: name, pieces: [Piece(disk: 0, offset: offset, length: size)])
        }

        init(name: String, pieces: [Piece]) {
            self.name = name
            self.pieces = pieces
        }

        /// In bytes.
        public var size: Int { pieces.reduce(0) { $0 + $1.length } }
    }

    /// The raw files.
    public var paths: [String]
    /// The volumes.
    public var volumes: [Volume]
    /// Bytes of a sector that the guest sees.
    public var sectorSize = 512

    /// Makes disks with one empty volume of at least `size` bytes.
    ///
    /// - Parameter folder: where the files go; must exist.
    public static func make(_ layout: Layout, size: Int, in folder: String) async throws -> DiskSet {
        let disk = "\(folder)/disk0.raw"
        let other = "\(folder)/disk1.raw"
        let mib = 1 << 20
        // LVM's volumes are a whole number of its extents.
        let extents = (size + 4 * mib - 1) / (4 * mib) * (4 * mib)
        switch layout {
        case .wholeDisk:
            try createSparse(disk, size: size)
            return DiskSet(
                paths: [disk], volumes: [Volume(name: "vda", pieces: [Piece(disk: 0, offset: 0, length: size)])])
        case .mbrPrimary:
            try createSparse(disk, size: size + 3 * mib)
            try await partition(disk, "label: dos\nstart=2048, size=\(size / 512), type=83\n")
            return DiskSet(
                paths: [disk], volumes: [Volume(name: "vda1", pieces: [Piece(disk: 0, offset: mib, length: size)])])
        case .mbrLogical:
            try createSparse(disk, size: size + 8 * mib)
            try await partition(
                disk,
                """
                label: dos
                2: start=2048, size=\((size + 4 * mib) / 512), type=5
                5: start=6144, size=\(size / 512), type=83

                """)
            return DiskSet(
                paths: [disk], volumes: [Volume(name: "vda5", pieces: [Piece(disk: 0, offset: 3 * mib, length: size)])])
        case .gpt512:
            try createSparse(disk, size: size + 4 * mib)
            let biosBoot = "21686148-6449-6E6F-744E-656564454649"
            try await partition(
                disk, "label: gpt\n1: start=2048, size=2048, type=\(biosBoot)\n2: start=4096, size=\(size / 512)\n")
            return DiskSet(
                paths: [disk], volumes: [Volume(name: "vda2", pieces: [Piece(disk: 0, offset: 2 * mib, length: size)])])
        case .gpt4096:
            try createSparse(disk, size: size + 4 * mib)
            // sfdisk takes the sector size from the device.
            try await Loops.run(
                [Loops.Region(file: disk, offset: 0, size: size + 4 * mib)], sectorSize: 4096,
                """
                printf 'label: gpt\\n1: start=256, size=\(size / 4096)\\n' \\
                  | sfdisk --quiet --no-reread --no-tell-kernel ${loops[0]}
                """
            )
            return DiskSet(
                paths: [disk], volumes: [Volume(name: "vda1", pieces: [Piece(disk: 0, offset: mib, length: size)])],
                sectorSize: 4096)
        case .lvm:
            try createSparse(disk, size: extents + 8 * mib)
            return try await lvm(
                [disk], [Loops.Region(file: disk, offset: 0, size: extents + 8 * mib)],
                "lvm_ vgcreate guest ${loops[0]}; create -L \(extents)b -n root guest")
        case .lvmSegments:
            try createSparse(disk, size: extents + 24 * mib)
            return try await lvm(
                [disk], [Loops.Region(file: disk, offset: 0, size: extents + 24 * mib)],
                """
                lvm_ vgcreate guest ${loops[0]}
                create -L 4M -n root guest
                create -L 4M -n between guest
                lvm_ lvextend -L \(extents)b guest/root
                lvm_ lvremove -f guest/between
                """)
        case .lvmTwoDisks:
            try createSparse(disk, size: 8 * mib)
            try createSparse(other, size: extents + 8 * mib)
            return try await lvm(
                [disk, other],
                [
                    Loops.Region(file: disk, offset: 0, size: 8 * mib),
                    Loops.Region(file: other, offset: 0, size: extents + 8 * mib),
                ],
                """
                lvm_ vgcreate guest ${loops[0]} ${loops[1]}
                create -L 4M -n root guest ${loops[0]}
                lvm_ lvextend -L \(extents)b guest/root ${loops[1]}
                """)
        case .lvmStriped:
            let half = (extents / 2 + 4 * mib - 1) / (4 * mib) * (4 * mib)
            for path in [disk, other] { try createSparse(path, size: half + 8 * mib) }
            return try await lvm(
                [disk, other], [disk, other].map { Loops.Region(file: $0, offset: 0, size: half + 8 * mib) },
                """
                lvm_ vgcreate guest ${loops[0]} ${loops[1]}
                create -i 2 -I 64k -L \(2 * half)b -n root guest
                """)
        }
    }

    /// The disk of the manual recipe: partition 1 at sector 63, partition 2 a physical volume with VolGroup00/LogVol00 and
    /// LogVol01.
    public static func makeRecipe(boot: Int, root: Int, swap: Int, in folder: String) async throws -> DiskSet {
        let disk = "\(folder)/disk0.raw"
        let mib = 1 << 20
        let start = (63 * 512 + boot + 2 * mib - 1) / mib * mib
        let size = root + swap + 8 * mib
        try createSparse(disk, size: start + size)
        try await partition(
            disk,
            "label: dos\n63, \(boot / 512), 83, *\n\(start / 512), \(size / 512), 8e\n")
        var set = try await lvm(
            [disk], [Loops.Region(file: disk, offset: start, size: size)],
            """
            lvm_ vgcreate VolGroup00 ${loops[0]}
            create -L \(root)b -n LogVol00 VolGroup00
            create -L \(swap)b -n LogVol01 VolGroup00
            """)
        set.volumes.insert(Volume(name: "vda1", pieces: [Piece(disk: 0, offset: 63 * 512, length: boot)]), at: 0)
        return set
    }

    /// Two disks with a DOS partition each, and one striped volume, guest/root, over both. Before the partitions is room for a
    /// boot sector.
    ///
    /// - Parameter size: of the volume, in bytes; a multiple of 8 MiB.
    public static func makeStripedPartitions(size: Int, in folder: String) async throws -> DiskSet {
        let mib = 1 << 20
        let regions = ["disk0.raw", "disk1.raw"].map {
            Loops.Region(file: "\(folder)/\($0)", offset: mib, size: size / 2 + 8 * mib)
        }
        for region in regions {
            try createSparse(region.file, size: region.offset + region.size)
            try await partition(region.file, "label: dos\nstart=2048, size=\(region.size / 512), type=8e\n")
        }
        return try await lvm(
            regions.map(\.file), regions,
            "lvm_ vgcreate guest ${loops[0]} ${loops[1]}; create -i 2 -I 64k -L \(size)b -n root guest")
    }

    /// A disk with partitions as sfdisk(8) describes them.
    public static func makePartitioned(
        _ script: String, size: Int, volumes: [Volume], in folder: String
    ) async throws -> DiskSet {
        let disk = "\(folder)/disk0.raw"
        try createSparse(disk, size: size)
        try await partition(disk, script)
        return DiskSet(paths: [disk], volumes: volumes)
    }

    /// Physical volumes, prepared by commands of LVM, with the places of all logical volumes.
    ///
    /// - Parameter script: bash; `lvm_ COMMAND…` runs lvm on these regions alone, `create …` is lvcreate with nothing activated
    ///   or wiped, `${loops[0]}` the first region's device.
    public static func lvm(
        _ paths: [String], _ regions: [Loops.Region], _ script: String
    ) async throws -> DiskSet {
        let report = try await Loops.run(
            regions,
            """
            \(script) >&2
            lvm_ pvs --noheadings --nosuffix --units b --separator '|' -o pv_name,pe_start,vg_extent_size | sed 's/^ */PV|/'
            lvm_ lvs --noheadings --nosuffix --units b --separator '|' --segments \
              -o vg_name,lv_name,stripe_size,seg_size,seg_pe_ranges | sed 's/^ */LV|/'
            for i in ${!loops[@]}; do echo "LOOP|${loops[$i]}|$i"; done
            """)
        let rows = report.split(separator: "\n").map {
            $0.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        }
        var index: [String: Int] = [:]
        for row in rows where row[0] == "LOOP" { index[row[1]] = Int(row[2]) }
        var places: [String: (region: Loops.Region, disk: Int, first: Int, extent: Int)] = [:]
        for row in rows where row[0] == "PV" {
            guard let number = index[row[1]], let first = Int(row[2]), let extent = Int(row[3]) else { continue }
            let region = regions[number]
            places[row[1]] = (region, paths.firstIndex(of: region.file) ?? 0, first, extent)
        }
        var volumes: [Volume] = []
        for row in rows where row[0] == "LV" {
            let name = "\(row[1])/\(row[2])"
            let ranges = row[5].split(separator: " ").compactMap { range -> Piece? in
                guard let colon = range.lastIndex(of: ":"), let place = places[String(range[..<colon])] else {
                    return nil
                }
                let ends = range[range.index(after: colon)...].split(separator: "-").compactMap { Int($0) }
                return Piece(
                    disk: place.disk, offset: place.region.offset + place.first + ends[0] * place.extent,
                    length: (ends[1] - ends[0] + 1) * place.extent)
            }
            let pieces = ranges.count > 1 ? striped(ranges, chunk: Int(row[3]) ?? 0) : ranges
            if let known = volumes.firstIndex(where: { $0.name == name }) {
                volumes[known].pieces += pieces
            } else {
                volumes.append(Volume(name: name, pieces: pieces))
            }
        }
        guard volumes.allSatisfy({ !$0.pieces.isEmpty }) else { throw ToolError(description: "lvm: \(report)") }
        return DiskSet(paths: paths, volumes: volumes)
    }

    /// The volume of that name.
    public func volume(_ name: String) throws -> Volume {
        guard let volume = volumes.first(where: { $0.name == name }) else {
            throw ToolError(description: "no volume \(name) in \(volumes.map(\.name))")
        }
        return volume
    }

    /// Puts a filesystem into a volume.
    public func embed(_ filesystem: String, in volume: Volume) throws {
        try FileHandle.read(filesystem) { source in
            var position = 0
            for piece in volume.pieces {
                try FileHandle.update(paths[piece.disk]) { target in
                    try Self.copy(source, position, target, piece.offset, piece.length)
                }
                position += piece.length
            }
        }
    }

    /// Takes what is in a volume out into a file.
    ///
    /// - Parameter length: how many bytes of it; 0 for all.
    public func extract(_ volume: Volume, to path: String, length: Int = 0) throws {
        try Self.createSparse(path, size: volume.size)
        try FileHandle.update(path) { target in
            var position = 0
            for piece in volume.pieces {
                try FileHandle.read(paths[piece.disk]) { source in
                    try Self.copy(source, piece.offset, target, position, piece.length)
                }
                position += piece.length
            }
            if length > 0 { try target.truncate(atOffset: UInt64(length)) }
        }
    }

    /// A file of that many zeros.
    public static func createSparse(_ path: String, size: Int) throws {
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        try FileHandle.update(path) { try $0.truncate(atOffset: UInt64(size)) }
    }

    private static func striped(_ areas: [Piece], chunk: Int) -> [Piece] {
        var pieces: [Piece] = []
        var position = 0
        while position < areas[0].length {
            for area in areas { pieces.append(Piece(disk: area.disk, offset: area.offset + position, length: chunk)) }
            position += chunk
        }
        return pieces
    }

    /// Copies what is not zero: the target holds zeros already, and stays sparse.
    private static func copy(
        _ source: FileHandle, _ from: Int, _ target: FileHandle, _ to: Int, _ length: Int
    ) throws {
        // Data compares with memcmp, which matters in a debug build.
        let chunk = 64 << 10
        let zeros = Data(count: chunk)
        var done = 0
        while done < length {
            let count = min(chunk, length - done)
            try source.seek(toOffset: UInt64(from + done))
            guard let data = try source.read(upToCount: count), !data.isEmpty else { break }
            try target.seek(toOffset: UInt64(to + done))
            let old = try target.read(upToCount: count) ?? Data()
            if data != old, data != zeros.prefix(data.count) || old != zeros.prefix(old.count) {
                try target.seek(toOffset: UInt64(to + done))
                try target.write(contentsOf: data)
            }
            done += data.count
        }
    }

    private static func partition(_ disk: String, _ script: String) async throws {
        try await Tool.output(of: "sfdisk", ["--quiet", disk], input: script)
    }
}

/// Loop devices for the tools that take nothing else. Each is locked from before it has content until it is gone, so that
/// udev keeps away; nothing is activated.
public enum Loops {
    /// A part of a file.
    public struct Region: Sendable {
        /// Its path.
        public var file: String
        /// In bytes.
        public var offset: Int
        /// In bytes.
        public var size: Int

        /// A part of a file.
        public init(file: String, offset: Int, size: Int) {
            self.file = file
            self.offset = offset
            self.size = size
        }
    }

    /// Runs a bash script on the regions' devices, `${loops[…]}`.
    @discardableResult
    public static func run(_ regions: [Region], sectorSize: Int = 512, _ script: String) async throws -> String {
        let prologue = """
            set -euo pipefail
            loops=()
            fds=()
            cleanup() { for i in "${!loops[@]}"; do losetup -d "${loops[$i]}"; done; }
            trap cleanup EXIT
            sector_size=$1
            shift
            while [ $# -gt 0 ]; do
              found=
              for try in $(seq 200); do
                candidate=$(losetup -f)
                exec {fd}<>"$candidate"
                if flock -n -x "$fd" && losetup -b "$sector_size" -o "$2" --sizelimit "$3" "$candidate" "$1" 2>/dev/null; then
                  found=$candidate
                  break
                fi
                exec {fd}>&-
                sleep 0.05
              done
              [ -n "$found" ] || { echo 'no loop device' >&2; exit 1; }
              loops+=("$found")
              fds+=("$fd")
              shift 3
            done
            devices=$(IFS=,; echo "${loops[*]}")
            lvm_() {
              local verb=$1
              shift
              LVM_SUPPRESS_FD_WARNINGS=1 lvm "$verb" --driverloaded n --nolocking --devices "$devices" --config '
                devices { scan=["/dev"] hints="none" use_devicesfile=0 obtain_device_list_from_udev=0 external_device_info_source="none" }
                backup { backup=0 archive=0 } activation { monitoring=0 udev_sync=0 udev_rules=0 }
                global { use_lvmpolld=0 event_activation=0 }' "$@" 2>"$HOME_LOG" || { cat "$HOME_LOG" >&2; return 1; }
            }
            create() { lvm_ lvcreate -an -Zn -Wn -y "$@"; }

            """
        let log = "\(TestHost.folder)/lvm-\(UUID().uuidString).log"
        defer { try? FileManager.default.removeItem(atPath: log) }
        let arguments = regions.flatMap { [$0.file, "\($0.offset)", "\($0.size)"] }
        return try await Tool.output(
            of: "bash", ["-c", prologue + script, "bash", "\(sectorSize)"] + arguments, environment: ["HOME_LOG": log])
    }
}
