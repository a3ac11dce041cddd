import HostTools
import SystemPackage

/// Finds the volumes on a domain's disks: partitions, the logical volumes on them, filesystems on whole disks.
struct Discovery<Mapping: VolumeMapping>: Sendable {
    let mapping: Mapping
    let lvm: LVM

    /// What is on a domain's disks.
    struct Findings: Sendable {
        /// The volumes.
        var volumes: [Volume] = []
        /// What each disk has for the firmware.
        var disks: [DiskFacts] = []
    }

    /// Reads every disk and every physical volume on them, writing nothing.
    func findings(on disks: [DiskPlan]) async throws -> Findings {
        var findings = Findings()
        for disk in disks {
            let (volumes, facts) = try await regions(of: disk)
            findings.volumes += volumes
            findings.disks.append(facts)
        }
        findings.volumes = VerityTree.protecting(try await withLogicalVolumes(findings.volumes))
        return findings
    }

    /// The regions, with logical volumes in place of the physical ones that they lie on.
    private func withLogicalVolumes(_ found: [Volume]) async throws -> [Volume] {
        let members = found.filter { $0.content == .physicalVolume }
        guard !members.isEmpty else { return found }
        let report = try await report(on: members)
        let logical = LogicalVolumes(report: report.report, members: report.members)
        var volumes = found.filter { !logical.explained.contains($0.name) }
        for volume in logical.volumes {
            volumes.append(try await probed(volume))
        }
        return volumes
    }

    /// A disk's partitions, or the disk itself where it has no table.
    private func regions(of disk: DiskPlan) async throws -> ([Volume], DiskFacts) {
        let whole = Layout(disk: disk.target, offset: 0, length: disk.size)
        return try await mapping.withDevice(for: whole, access: .readOnly) { device in
            let file = try FileDescriptor.open(FilePath(device.path), .readOnly, options: [.closeOnExec])
            defer { try? file.close() }
            var facts = DiskFacts(target: disk.target, bootRecord: Files.content(of: device.path, limit: 512) ?? [])
            // A disk that was moved from one sector size to another has its table where nobody looks for it.
            let sectorSizes = [disk.sectorSize, disk.sectorSize == 512 ? 4096 : 512]
            var found = ProbeResult()
            for sectorSize in sectorSizes where found.signatures.isEmpty {
                let result = try Probe.inspect(file, offset: 0, length: disk.size, sectorSize: sectorSize)
                if let table = result.partitionTable, table.partitions.contains(where: { !$0.isContainer }) {
                    facts.table = table
                    return (
                        partitions(
                            of: table, besides: result.signatures, on: disk, file: file, sectorSize: sectorSize), facts
                    )
                }
                found.signatures = result.signatures
                found.hasNTFSBootSector = found.hasNTFSBootSector || result.hasNTFSBootSector
            }
            var volume = Volume(whole, of: disk, name: disk.target, found)
            volume.takeEmptiness(found, of: file, from: 0)
            return ([volume], facts)
        }
    }

    /// The partitions of a disk. Where the disk itself is a member of something larger, they show what lies on that: none of
    /// them is checked.
    ///
    /// - Parameter signatures: what was found on the whole disk.
    private func partitions(
        of table: PartitionTable, besides signatures: [Signature], on disk: DiskPlan, file: FileDescriptor,
        sectorSize: Int
    ) -> [Volume] {
        let problems = PartitionPlacement.problems(of: table.partitions, diskSize: disk.size)
        var places: Set<SignaturePlace> = []
        let volumes = table.partitions.filter { !$0.isContainer }.map { partition in
            let layout = Layout(disk: disk.target, offset: partition.start, length: partition.size)
            let problem = problems[partition.number]
            var volume = Volume(
                name: Volume.name(ofPartition: partition.number, on: disk.target),
                layout: problem == nil ? layout : nil, content: .unclear(type: "", why: problem ?? ""),
                size: partition.size, disk: disk.target)
            if problem == nil, let purpose = PartitionPlacement.purposeWithoutFilesystem(of: partition) {
                volume.content = .nothingToCheck(type: "", why: purpose)
                return volume
            }
            do {
                // Of a partition that reaches past the end of the disk, what is there.
                let rest = disk.size - min(partition.start, disk.size)
                let result = try Probe.inspect(
                    file, offset: partition.start, length: min(partition.size, rest), sectorSize: sectorSize)
                places.formUnion(result.signatures.map { SignaturePlace($0, from: partition.start) })
                volume.note(result)
                if volume.signatureTypes.contains(VerityTree.signature) {
                    volume.verifiedSize = VerityTree.dataSize(
                        try Files.bytes(of: file, at: partition.start, count: VerityTree.headerSize))
                }
                if problem == nil {
                    volume.take(result)
                    volume.takeEmptiness(result, of: file, from: partition.start)
                }
                if let whole = PartitionPlacement.membership(of: partition) {
                    volume.isPartOfWindows = true
                    volume.content = .unclear(type: volume.type, why: whole)
                }
            } catch {
                volume.content = .unclear(type: "", why: problem ?? "can't be read: \(error)")
            }
            return volume
        }
        // What lies at the end of the last partition may lie at the end of the disk, too. Metadata that lie in a partition are
        // not those of what holds the table: it would end before them.
        let owner = signatures.first { signature in
            signature.isMember
                && (signature.isOfFirmware || !places.contains(SignaturePlace(signature, from: 0)))
        }
        let rival = signatures.first { signature in
            !places.contains(SignaturePlace(signature, from: 0)) && signature.isFilesystem(on: file, size: disk.size)
        }
        guard let why = owner?.membership ?? rival?.rivalry else { return volumes }
        return volumes.map { volume in
            if case .nothingToCheck = volume.content { return volume }
            var volume = volume
            volume.content = .unclear(type: volume.type, why: "lies on \(disk.target), which \(why)")
            return volume
        }
    }

    /// What LVM says of the physical volumes, each shown to it as a device.
    private func report(
        on members: [Volume]
    ) async throws -> (report: LVMReport, members: [String: Volume]) {
        let mapping = mapping
        let lvm = lvm
        return try await withAll(members[...]) { member, inner in
            guard let layout = member.layout else { throw DomainProblem("\(member.name): has no place") }
            return try await mapping.withDevice(for: layout, access: .readOnly) { device in
                try await inner((member, device.path))
            }
        } body: { (lent: [(Volume, String)]) in
            let report = try await lvm.report(devices: lent.map(\.1))
            return (report, Dictionary(lent.map { ($0.1, $0.0) }) { first, _ in first })
        }
    }

    /// A logical volume with what is in it.
    private func probed(_ volume: Volume) async throws -> Volume {
        guard let layout = volume.layout else { return volume }
        do {
            return try await mapping.withDevice(for: layout, access: .readOnly) { device in
                let file = try FileDescriptor.open(FilePath(device.path), .readOnly, options: [.closeOnExec])
                defer { try? file.close() }
                let result = try Probe.inspect(file, offset: 0, length: layout.length, sectorSize: 512)
                var volume = volume
                volume.take(result)
                volume.takeEmptiness(result, of: file, from: 0)
                return volume
            }
        } catch {
            var volume = volume
            volume.content = .unclear(type: "", why: "can't be read: \(error)")
            return volume
        }
    }
}

extension Volume {
    /// What the kernel calls a partition: `vda1`, `nvme0n1p1`.
    static func name(ofPartition number: Int, on disk: String) -> String {
        "\(disk)\(disk.last?.isNumber == true ? "p" : "")\(number)"
    }

    /// A region of a disk with what was found in it.
    init(_ layout: Layout, of disk: DiskPlan, name: String, _ result: ProbeResult) {
        self.init(
            name: name, layout: layout, content: .unclear(type: "", why: ""), size: layout.length, disk: disk.target)
        take(result)
    }

    fileprivate mutating func take(_ result: ProbeResult) {
        note(result)
        content = Content(signatures: result.signatures)
        label = result.signatures.first?.label
        uuid = result.signatures.first?.uuid
        remark = result.signatures.first?.overrun(of: size)
    }

    /// The largest volume without a signature of which every byte is read, in bytes.
    private static var mostRead: UInt64 { 256 << 20 }

    /// A small volume without a signature may never have held anything: a slot that is not used yet. What can't be read is not empty.
    fileprivate mutating func takeEmptiness(_ result: ProbeResult, of file: FileDescriptor, from start: UInt64) {
        guard result.signatures.isEmpty, !result.hasNTFSBootSector, result.partitionTable == nil, size > 0,
            size <= Self.mostRead, (try? Files.isZero(file, from: start, size: size)) == true
        else { return }
        content = .nothingToCheck(type: "", why: "empty: every byte of it is zero")
    }

    /// Remembers what was found, whatever is made of it.
    fileprivate mutating func note(_ result: ProbeResult) {
        signatureTypes = Set(result.signatures.map(\.type))
        hasNTFSBootSector = result.hasNTFSBootSector
    }
}

/// Where a signature lies on a disk.
private struct SignaturePlace: Hashable {
    var type: String
    /// Bytes from the disk's start.
    var offset: UInt64?

    init(_ signature: Signature, from start: UInt64) {
        type = signature.type
        offset = signature.offset.map { $0.addingReportingOverflow(start).partialValue }
    }
}
