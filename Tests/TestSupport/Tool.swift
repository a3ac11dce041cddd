import Foundation
import Subprocess
import Synchronization

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// What a program left behind.
public struct ToolResult: Sendable {
    /// Exit status; 128 plus the signal's number where a signal ended it.
    public var exitStatus: Int32
    /// Standard output.
    public var output: String
    /// Standard error.
    public var errorOutput: String
    /// From the start to the end, in seconds.
    public var seconds: Double
    /// The most memory that the program itself (not its children) had, in bytes; 0 where it was not measured.
    public var peakMemory: Int
}

/// A program that did not do what the test needs.
public struct ToolError: Error, CustomStringConvertible {
    /// What was run, its status and its words.
    public var description: String

    /// An error with these words.
    public init(description: String) { self.description = description }
}

/// Real programs, run as a test needs them.
public enum Tool {
    /// Runs a program and waits for it.
    ///
    /// - Parameters:
    ///   - environment: added to the test's own; a nil value removes a variable.
    ///   - measuresMemory: whether ``ToolResult/peakMemory`` is wanted.
    public static func run(
        _ program: String, _ arguments: [String], environment: [String: String?] = [:], input: String = "",
        measuresMemory: Bool = false
    ) async throws -> ToolResult {
        var variables: [Environment.Key: String?] = ["LC_ALL": "C"]
        for (name, value) in environment { variables[Environment.Key(stringLiteral: name)] = value }
        let peak = Mutex(0)
        let start = ContinuousClock.now
        let result = try await Subprocess.run(
            program.hasPrefix("/") ? .path(FilePath(program)) : .name(program), arguments: Arguments(arguments),
            environment: .inherit.updating(variables), input: .string(input), output: .bytes(limit: 64 << 20),
            error: .bytes(limit: 64 << 20)
        ) { execution in
            guard measuresMemory else { return }
            let status = "/proc/\(execution.processIdentifier.value)/status"
            while let memory = highWaterMark(status) {
                peak.withLock { $0 = max($0, memory) }
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        let elapsed = ContinuousClock.now - start
        let exitStatus: Int32 =
            switch result.terminationStatus {
            case .exited(let code): Int32(code)
            case .signaled(let signal): 128 + Int32(signal)
            }
        return ToolResult(
            exitStatus: exitStatus, output: String(decoding: result.standardOutput, as: UTF8.self),
            errorOutput: String(decoding: result.standardError, as: UTF8.self),
            seconds: Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18,
            peakMemory: peak.withLock { $0 })
    }

    /// Runs a program that must succeed.
    ///
    /// - Parameter allowed: exit statuses that count as success.
    /// - Returns: its standard output.
    @discardableResult
    public static func output(
        of program: String, _ arguments: [String], environment: [String: String?] = [:], input: String = "",
        allowed: Set<Int32> = [0]
    ) async throws -> String {
        let result = try await run(program, arguments, environment: environment, input: input)
        guard allowed.contains(result.exitStatus) else {
            throw ToolError(
                description: "\(program) \(arguments.joined(separator: " ")): exit status \(result.exitStatus)\n"
                    + result.output.suffix(2000) + result.errorOutput.suffix(2000))
        }
        return result.output
    }

    /// Where a program is, or nil.
    public static func path(of program: String) -> String? {
        let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        return folders.lazy.map { "\($0)/\(program)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// `VmHWM` of a process, in bytes; nil when it is gone or a zombie.
    private static func highWaterMark(_ status: String) -> Int? {
        guard let text = try? String(contentsOfFile: status, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("VmHWM:") {
            return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
                .map { $0 << 10 }
        }
        return nil
    }
}

/// Waits for something to become true.
///
/// - Parameter limit: for what hangs, never for what is slow: the machine may do much else.
/// - Returns: whether it did in time.
public func eventually(
    within limit: Duration = .seconds(180), _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return try await condition()
}
