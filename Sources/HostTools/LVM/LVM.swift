import CLinux
import Glibc
import SystemPackage

/// Reads LVM metadata with the host's `lvm`: never activates, never writes, and sees no other devices than those it is shown.
///
/// The metadata is a guest's. So `lvm` runs behind the walls of a checker, on device nodes that are made for it.
public struct LVM: Sendable {
    private let runner: any CommandRunner
    private let sandbox: Sandbox
    private let folder: String

    /// An LVM that runs its program through `runner`.
    ///
    /// - Parameters:
    ///   - sandbox: what it runs in.
    ///   - folder: where device nodes may be made for it. Must exist, on a filesystem that takes device nodes.
    public init(runner: any CommandRunner, sandbox: Sandbox, folder: String) {
        self.runner = runner
        self.sandbox = sandbox
        self.folder = folder
    }

    /// Reads what is on the given block devices, in one run of `lvm fullreport`.
    ///
    /// - Parameter devices: absolute paths of block device nodes, in any folder; all that may belong together at once.
    ///   Without any there is nothing to run.
    /// - Throws: lvm missing, hanging, or printing something else than a report. Damaged metadata is not an error, see
    ///   ``LVMReport/unassignedPhysicalVolumes`` and ``LVMReport/unreadableDevices``.
    public func report(devices: [String]) async throws(LVMError) -> LVMReport {
        guard !devices.isEmpty else { return LVMReport() }
        do {
            try runner.requiredPath(of: "lvm")
        } catch {
            throw .command(error)
        }
        var numbers: [DeviceNumber: String] = [:]
        var distinct: [String] = []
        for device in devices {
            guard let number = try? DeviceNumber(ofNode: device) else { throw .invalidDevice(device) }
            // A second path of a device says nothing new.
            guard numbers[number] == nil else { continue }
            numbers[number] = device
            distinct.append(device)
        }
        let nodes = try LVMNodes(for: distinct, numbers, in: folder)
        defer { nodes.remove() }
        let shown = nodes.devices.map(\.shown)
        let command = sandbox.confine(
            try Self.command(for: shown.map(sandbox.path)), to: shown, needing: .deviceTypes(nodes.types))
        let result: CommandResult
        do {
            result = try await runner.run(command)
        } catch {
            throw .command(error)
        }
        var report: LVMReport
        do throws(LVMError) {
            report = try LVMReport(parsing: result.output, devices: [], numbers: numbers)
        } catch {
            // No report at all: what lvm complained about says more than what our parser did.
            guard result.isSuccess else {
                throw .command(.failed(command: "lvm", status: result.status, complaint: result.complaint))
            }
            throw error
        }
        report.isComplete = result.isSuccess
        report.warnings = warnings(in: result.errorOutput, nodes)
        report.account(for: distinct, physicalVolumeUUID: Self.physicalVolumeUUID)
        return report
    }

    /// lvm's words with the paths that we were given, without those about the walls that it runs in.
    private func warnings(in text: String, _ nodes: LVMNodes) -> [String] {
        let lines = text.split(whereSeparator: \.isNewline).map { line in
            var line = String(line.drop(while: \.isWhitespace))
            // From the last: pv1 is the beginning of pv10.
            for device in nodes.devices.reversed() { line.replace(sandbox.path(of: device.shown), with: device.path) }
            return line
        }
        return lines.filter { line in !Self.wordsAboutWalls.contains { line.contains($0) } }
    }

    private static let wordsAboutWalls = [
        "Running as a non-root user", "Failed to find sysfs mount point", "/dev/urandom: open failed",
    ]

    /// The command that reads `devices`.
    ///
    /// `--readonly` and `--driverloaded n` keep it from the kernel's device-mapper, `--foreign --shared` show groups that
    /// other hosts own, as the guest's are. The configuration overrides whatever the host's lvm.conf filters, scans or
    /// formats; only the folders of the devices are scanned, so that they are reported under the names given.
    static func command(for devices: [String]) throws(LVMError) -> Command {
        for device in devices {
            // A comma separates devices; the others would end the string in the configuration.
            let isPlain = device.unicodeScalars.allSatisfy { scalar in
                scalar.value >= 0x20 && scalar.value != 0x7F && !"\"',\\".unicodeScalars.contains(scalar)
            }
            guard device.hasPrefix("/"), isPlain else { throw .invalidDevice(device) }
        }
        var folders: [String] = []
        for device in devices {
            let folder = String(device[..<(device.lastIndex(of: "/") ?? device.startIndex)])
            if !folders.contains(folder) { folders.append(folder) }
        }
        let scan = folders.map { "\"\($0.isEmpty ? "/" : $0)\"" }.joined(separator: ",")
        let configuration = """
            devices { scan=[\(scan)] use_devicesfile=0 filter=["a|.*|"] global_filter=["a|.*|"] hints="none" \
            obtain_device_list_from_udev=0 external_device_info_source="none" multipath_component_detection=0 \
            md_component_detection=0 fw_raid_component_detection=0 allow_changes_with_duplicate_pvs=0 } \
            backup { backup=0 archive=0 } \
            activation { monitoring=0 udev_sync=0 udev_rules=0 } \
            global { use_lvmpolld=0 use_lvmlockd=0 event_activation=0 } \
            log { report_command_log=0 verbose=0 silent=0 syslog=0 } \
            report { mark_hidden_devices=1 two_word_unknown_device=0 list_item_separator="," \
            binary_values_as_numeric=0 }
            """
        var arguments = [
            "fullreport", "--reportformat", "json", "--units", "b", "--nosuffix", "--all", "--readonly", "--nolocking",
            "--driverloaded", "n", "--foreign", "--shared", "--devices", devices.joined(separator: ","), "--config",
            configuration,
        ]
        for (section, fields) in RawReport.fields {
            arguments += ["--configreport", section, "-o", fields]
        }
        return Command("lvm", arguments, timeout: .seconds(60))
    }

    /// The UUID in the LVM label on a device, or nil where it has none that can be read.
    private static func physicalVolumeUUID(_ device: String) -> String? {
        guard let descriptor = try? OwnedDescriptor(opening: device, O_RDONLY) else { return nil }
        let file = FileDescriptor(rawValue: descriptor.value)
        guard let size = try? file.seek(offset: 0, from: .end), size > 0,
            let result = try? Probe.inspect(file, offset: 0, length: UInt64(size))
        else { return nil }
        return result.signatures.first { $0.type == "LVM2_member" }?.uuid
    }
}

/// Why LVM metadata could not be read.
public enum LVMError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No block device, or not a path that can be given to lvm: relative, or with a quote, a comma, a backslash or a
    /// control character.
    case invalidDevice(String)
    /// The device nodes that lvm was to be shown could not be made.
    case nodes(folder: String, reason: String)
    /// lvm could not be run, or failed without a report.
    case command(CommandError)
    /// lvm printed something else than the report that was asked for.
    case unreadable(reason: String)

    /// `subject: what happened`.
    public var description: String {
        switch self {
        case .invalidDevice(let device): "\(device): lvm can't be given this path"
        case .nodes(let folder, let reason): "\(folder): device nodes for lvm can't be made: \(reason)"
        case .command(let error): error.description
        case .unreadable(let reason): "lvm: unexpected report: \(reason)"
        }
    }
}
