import Foundation
import TestSupport
import Testing

/// Everything that one story in a ``World`` wrote, from an image of the world before it.
struct Recording: Sendable {
    let world: World
    /// The world before.
    let base: String
    let log: WriteLog

    /// Records a story, and makes sure that replaying all of it gives what the story left.
    ///
    /// - Parameters:
    ///   - story: a script for ``World/run(on:results:recording:_:)``, in which libvirt is running; the domain must be off in
    ///     the end.
    ///   - end: what its disks must be then.
    static func make(
        of patient: Patient, _ story: String, endingAs end: Patient.State = .repaired
    ) async throws -> Recording {
        let folder = "\(patient.shop.folder)/recording"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let world = World(patient: patient)
        let base = "\(folder)/base.img"
        try await world.makeFilesystem(at: base)
        let recorded = "\(folder)/recorded.img"
        try await Tool.output(of: "cp", ["--sparse=always", base, recorded])
        let result = try await world.run(
            on: recorded, results: "\(folder)/results", recording: "\(folder)/log",
            "libvirt\n" + story + "\nguest_view \"$world/etc/qemu/$name.xml\" \"$results/final\"")
        guard result.exitStatus == 0 else {
            throw ToolError(
                description: "the story failed: \(result.exitStatus) \(result.output) \(result.errorOutput)")
        }
        let state = try await patient.state(of: GuestView.files(in: "\(folder)/results/final"))
        #expect(state == end)
        let recording = Recording(world: world, base: base, log: try WriteLog("\(folder)/log"))
        let replayed = "\(folder)/replayed.img"
        try await Tool.output(of: "cp", ["--sparse=always", base, replayed])
        try recording.log.replay(0..<recording.log.entries.count, on: replayed)
        try #expect(await Tool.run("cmp", [replayed, recorded]).exitStatus == 0)
        for file in [replayed, recorded] { try FileManager.default.removeItem(atPath: file) }
        return recording
    }
}
