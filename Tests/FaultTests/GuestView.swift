import Foundation
import TestSupport

/// What a guest would see on its disks if the host started it now: the sources that its XML names, with the formats that it
/// names, as raw files.
enum GuestView {
    /// bash: `guest_view XML FOLDER` writes `FOLDER/0.raw`, `FOLDER/1.raw`, …
    ///
    /// A daemon that a kill left may have the images open: they are read all the same (`-U`).
    static let function = """
        guest_view() {
          local count number disk
          count=$(xmllint --xpath 'count(/domain/devices/disk)' "$1")
          mkdir -p "$2"
          for ((number = 1; number <= count; number++)); do
            disk="/domain/devices/disk[$number]"
            qemu-img convert -U -O raw -f "$(xmllint --xpath "string($disk/driver/@type)" "$1")" \
              "$(xmllint --xpath "string($disk/source/@file)" "$1")" "$2/$((number - 1)).raw"
          done
        }

        """

    /// What is seen.
    struct Sight: Sendable {
        var state: Patient.State
        /// What a guest that counts has on each disk.
        var numbers: [Int] = []
    }

    /// The views of a domain of the private libvirt.
    static func take(of patient: Patient) async throws -> Patient.State { try await look(at: patient).state }

    /// The same, with the guest's numbers.
    static func look(at patient: Patient) async throws -> Sight {
        let folder = "\(patient.shop.folder)/view-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try (await patient.shop.xml()).write(toFile: "\(folder)/xml", atomically: true, encoding: .utf8)
        let result = try await Tool.run(
            "bash", ["-c", "set -euo pipefail\n\(function)\nguest_view \"$1/xml\" \"$1\"", "bash", folder])
        guard result.exitStatus == 0 else {
            return Sight(state: .neither("it can't be started: \(result.errorOutput)"))
        }
        return try await sight(of: files(in: folder), patient)
    }

    /// What the function's files hold.
    static func sight(of files: [String], _ patient: Patient) async throws -> Sight {
        let numbers = try files.map(CountingSector.number)
        return Sight(state: try await patient.state(of: files), numbers: patient.isCounting ? numbers : [])
    }

    /// What the function has written.
    static func files(in folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".raw") }.sorted().map { "\(folder)/\($0)" }
    }
}
