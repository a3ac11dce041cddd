import Glibc
import Subprocess
public import SystemPackage

/// Runs the programs of this host: fixed search path, `LC_ALL=C`, a process group of their own (Ctrl-C must not hit a
/// checker in the middle of a write), limits on time and output, teardown INT → TERM → KILL.
public struct HostCommandRunner: CommandRunner {
    /// Where programs are looked for, whatever the caller's `PATH` says.
    public static let searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    /// Where this runner looks: folders with absolute paths.
    let folders: [String]

    /// A runner for the host's programs.
    ///
    /// - Parameter folders: looked at in this order; tests put a folder with programs of their own first.
    public init(folders: [String] = HostCommandRunner.searchPath) {
        self.folders = folders
    }

    /// The absolute path of a program, or nil where none of the folders has it.
    public func path(of program: String) -> String? {
        folders.lazy.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    /// The absolute path of a program.
    ///
    /// - Throws: ``CommandError/notFound(program:package:)``.
    public func requiredPath(of program: String) throws(CommandError) -> String {
        guard let path = path(of: program) else {
            throw .notFound(program: program, package: DebianPackage.providing(program))
        }
        return path
    }

    public func run(_ command: Command) async throws(CommandError) -> CommandResult {
        let configuration = try configuration(for: command)
        return try await race(command) {
            let result = try await Subprocess.run(
                configuration, input: .none, output: .bytes(limit: command.outputLimit),
                error: .bytes(limit: command.outputLimit))
            return CommandResult(
                status: CommandStatus(result.terminationStatus),
                output: String(decoding: result.standardOutput, as: UTF8.self),
                errorOutput: String(decoding: result.standardError, as: UTF8.self))
        }
    }

    public func run(_ command: Command, log: FileDescriptor) async throws(CommandError) -> CommandResult {
        let configuration = try configuration(for: command)
        return try await race(command) {
            let result = try await Subprocess.run(
                configuration, input: .none, output: .sequence, error: .combinedWithOutput
            ) { execution in
                var written = 0
                for try await buffer in execution.standardOutput {
                    let bytes = buffer.withUnsafeBytes { Array($0) }
                    written += bytes.count
                    if written > command.outputLimit {
                        throw OutputLimitExceeded()
                    }
                    try log.writeAll(bytes)
                }
            }
            return CommandResult(status: CommandStatus(result.terminationStatus))
        }
    }

    private func configuration(for command: Command) throws(CommandError) -> Configuration {
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [
            .send(signal: .interrupt, allowedDurationToNextStep: .seconds(2)),
            .gracefulShutDown(allowedDurationToNextStep: .seconds(2)),
        ]
        return Configuration(
            executable: .path(FilePath(try requiredPath(of: command.program))),
            arguments: Arguments(command.arguments),
            environment: HostEnvironment.value,
            platformOptions: options)
    }

    /// swift-subprocess has no time limit: the run races a clock, and whoever loses is cancelled. A cancelled run tears
    /// its process down and returns `.signaled`.
    private func race(
        _ command: Command, _ work: @Sendable @escaping () async throws -> CommandResult
    ) async throws(CommandError) -> CommandResult {
        let outcome = await withTaskGroup(of: RaceResult.self) { group in
            group.addTask {
                do {
                    return .ended(try await work())
                } catch let error as SubprocessError where error.code == .outputLimitExceeded {
                    return .ended(CommandResult(status: .outputLimitExceeded))
                } catch is OutputLimitExceeded {
                    return .ended(CommandResult(status: .outputLimitExceeded))
                } catch {
                    return .failed(.broken(command: command.description, reason: String(describing: error)))
                }
            }
            group.addTask {
                try? await Task.sleep(for: command.timeout)
                return Task.isCancelled ? .cancelled : .timedOut
            }
            var result: RaceResult = .cancelled
            for await next in group {
                switch (result, next) {
                case (.timedOut, _): break
                case (_, .cancelled): break
                default: result = next
                }
                group.cancelAll()
            }
            return result
        }
        switch outcome {
        case .ended(let result): return result
        case .failed(let error): throw error
        case .timedOut: return CommandResult(status: .timedOut)
        case .cancelled: return CommandResult(status: .signaled(SIGINT))
        }
    }
}

private enum RaceResult: Sendable {
    case ended(CommandResult)
    case failed(CommandError)
    case timedOut
    case cancelled
}

/// What every program of ours finds in its environment: nothing of the caller's.
enum HostEnvironment {
    static let value = Environment.custom([
        "PATH": HostCommandRunner.searchPath.joined(separator: ":"),
        "LC_ALL": "C",
        "HOME": "/",
        "LVM_SUPPRESS_FD_WARNINGS": "1",
    ])
}

extension CommandStatus {
    init(_ status: TerminationStatus) {
        switch status {
        case .exited(let code): self = .exited(code)
        case .signaled(let signal): self = .signaled(signal)
        }
    }
}

/// Thrown out of the reading loop: swift-subprocess then tears the process down.
private struct OutputLimitExceeded: Error {}
