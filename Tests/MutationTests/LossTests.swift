import Foundation
import HostTools
import TestSupport
import Testing

/// Filesystems are damaged at random, and repaired by the bare checker: what is measured of the loss agrees with the mounted
/// trees.
@Suite(.enabled(if: TestHost.isUsable), .timeLimit(.minutes(180)))
struct LossTests {
    @Test func `the loss of a repair is what the mounted trees show`() async throws {
        let folder = "\(TestHost.folder)/mutations"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for seed in Mutations.seeds {
            for specimen in Specimen.mountable where Mutations.include(specimen) {
                let trial = LossTrial(specimen: specimen, path: "\(folder)/\(specimen)-\(seed)")
                let result = try await trial.run { path in
                    var generator = SeededGenerator(seed: seed, for: specimen.rawValue)
                    return try await Mutation(of: path, specimen.filesystem, using: &generator).description
                }
                print("TRIAL \(specimen) \(seed) \(result)")
                #expect(!result.hasPrefix("MISSED"), "\(specimen), seed \(seed): \(result)")
            }
        }
    }
}
