import Foundation
import Glibc
import TestSupport

/// What stands in the way of a run.
enum Obstacle {
    case none
    /// Somebody reads the first image: the merge is refused, and the domain pointed back.
    case reader

    /// Holds it up for the time of `body`.
    func during<Value>(_ patient: Patient, _ body: () async throws -> Value) async throws -> Value {
        guard self == .reader, let image = patient.images.first else { return try await body() }
        let socket = "\(patient.shop.folder)/reader.sock"
        let pidFile = "\(patient.shop.folder)/reader.pid"
        // Returns when it listens.
        try await Tool.output(
            of: "qemu-nbd",
            [
                "--fork", "--read-only", "--persistent", "--format", "qcow2", "--socket", socket, "--pid-file", pidFile,
                image,
            ])
        let text = try String(contentsOfFile: pidFile, encoding: .utf8).filter(\.isNumber)
        guard let reader = Int32(text) else { throw ToolError(description: "qemu-nbd has no process") }
        let result: Result<Value, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        kill(reader, SIGTERM)
        // Not our child: it is gone when the signal finds nobody.
        guard await eventually({ kill(reader, 0) != 0 }) else {
            throw ToolError(description: "the reader does not end")
        }
        return try result.get()
    }
}
