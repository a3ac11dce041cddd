import Glibc
import Subprocess
public import SystemPackage

/// Runs the programs of this host: fixed search path, `LC_ALL=C`, a process group of their own (Ctrl-C must not hit a
/// checker in the middle of a write), limits on time and output, teardown INT → TERM → KILL.
public struct HostCommandRunner: CommandRunner {
    /// Where programs are looked for, whatever the caller's `PATH` says.
    public static let searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    private let folders: [String]
    private let hurrying = Hurry()

    /// A runner for the host's programs.
    ///
    /// - Parameter folders: looked at in this order; tests put a folder with programs of their own first.
    public init(folders: [String] = HostCommandRunner.searchPath) {
        self.folders = folders
    }

    /// The user pressed Ctrl-C once more: programs of haste ``Command/Haste/kill`` that were cancelled, or are from now on,
    /// are killed at once. Nothing else is touched: not what was not cancelled, as a merge, nor a ``BackgroundProcess``.
    public func hurry() {
        hurrying.begin()
    }

    /// The first folder that has it wins.
    public func path(of program: String) -> String? {
        folders.lazy.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    /// See ``CommandRunner/run(_:)``.
    public func run(_ command: Command) async throws(CommandError) -> CommandResult {
        let configuration = try configuration(for: command)
        return try await supervise(command) { group in
            let input = try StandardInput(holding: command.input)
            defer { input.close() }
            let result = try await Subprocess.run(
                configuration, input: .fileDescriptor(input.reader, closeAfterSpawningProcess: false),
                output: .bytes(limit: command.outputLimit), error: .bytes(limit: command.outputLimit)
            ) { execution in
                group.started(execution.processIdentifier.value)
            }
            return CommandResult(
                status: CommandStatus(result.terminationStatus),
                output: String(decoding: result.standardOutput, as: UTF8.self),
                errorOutput: String(decoding: result.standardError, as: UTF8.self))
        }
    }

    /// See ``CommandRunner/run(_:log:)``.
    public func run(_ command: Command, log: FileDescriptor) async throws(CommandError) -> CommandResult {
        let configuration = try configuration(for: command)
        return try await supervise(command) { group in
            let input = try StandardInput(holding: command.input)
            defer { input.close() }
            let pipe = try LogPipe(into: log, limit: command.outputLimit) { group.stop(.outputLimitExceeded) }
            let result: ExecutionResult<Void, FileDescriptorOutput, FileDescriptorOutput>
            do {
                result = try await Subprocess.run(
                    configuration, input: .fileDescriptor(input.reader, closeAfterSpawningProcess: false),
                    output: .fileDescriptor(pipe.writer, closeAfterSpawningProcess: false),
                    error: .fileDescriptor(pipe.writer, closeAfterSpawningProcess: false)
                ) { execution in
                    group.started(execution.processIdentifier.value)
                    pipe.closeWriter()
                }
            } catch {
                if !group.hasStarted { pipe.closeWriter() }
                throw error
            }
            await pipe.end()
            await group.emptied()
            return CommandResult(status: CommandStatus(result.terminationStatus))
        }
    }

    private func configuration(for command: Command) throws(CommandError) -> Configuration {
        Configuration(
            executable: .path(FilePath(try requiredPath(of: command.program))),
            arguments: Arguments(command.arguments),
            environment: HostEnvironment.value(.worker),
            platformOptions: HostEnvironment.ownProcessGroup)
    }

    /// swift-subprocess has no time limit and tears down one process only: here the work runs in a task of its own, and
    /// whoever wants it to end (the clock, a cancelled caller, too much output) signals the whole process group.
    private func supervise(
        _ command: Command, _ work: @Sendable @escaping (RunningGroup) async throws -> CommandResult
    ) async throws(CommandError) -> CommandResult {
        let group = RunningGroup()
        let running = Task {
            do {
                let result = try await work(group)
                await group.emptied()
                return result
            } catch {
                // What swift-subprocess ended is the program, not its children.
                group.stop(.signaled(SIGKILL))
                await group.emptied()
                throw error
            }
        }
        let clock = Task {
            try await Task.sleep(for: command.timeout)
            group.stop(.timedOut)
        }
        let result = await withTaskCancellationHandler {
            switch command.haste {
            case .inOrder: await running.result
            case .kill: await hurrying.during(group) { await running.result }
            }
        } onCancel: {
            group.stop(.cancelled)
        }
        clock.cancel()
        let stopReason = group.ended()
        switch result {
        case .success(var result):
            if let stopReason { result.status = stopReason }
            return result
        case .failure(let error as SubprocessError) where error.code == .outputLimitExceeded:
            return CommandResult(status: .outputLimitExceeded)
        case .failure(let error):
            throw .broken(command: command.description, reason: String(describing: error))
        }
    }
}

/// What every program of ours gets from us, and nothing of the caller's.
enum HostEnvironment {
    static func value(_ role: RunMark.Role) -> Environment {
        let fixed = [
            "PATH": HostCommandRunner.searchPath.joined(separator: ":"),
            "LC_ALL": "C",
            "HOME": "/",
            "LVM_SUPPRESS_FD_WARNINGS": "1",
        ]
        let all = fixed.merging(RunMark.environment(role)) { fixed, _ in fixed }
        return .custom(Dictionary(uniqueKeysWithValues: all.map { (Environment.Key(stringLiteral: $0.key), $0.value) }))
    }

    static var ownProcessGroup: PlatformOptions {
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(2))]
        return options
    }
}

extension CommandStatus {
    init(_ status: TerminationStatus) {
        switch status {
        case .exited(let code): self = .exited(code)
        case .signaled(let signal): self = .signaled(signal)
        }
    }
}
