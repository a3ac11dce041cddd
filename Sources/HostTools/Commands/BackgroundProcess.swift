import Glibc
import Subprocess
public import SystemPackage

/// A program that runs beside us until it is told to stop, and that outlives us when we are killed.
public final class BackgroundProcess: Sendable {
    /// Its process id, which is its process group's too.
    public let pid: Int32

    private let group: RunningGroup
    private let running: Task<Void, any Error>

    /// Starts a program, also for a task that was cancelled: it may be what taking down in order needs.
    ///
    /// - Parameters:
    ///   - command: its timeout and output limit are not looked at.
    ///   - standardInput: a descriptor that the program shall hold for us: it shares our open file description, so an
    ///     flock(2) taken on it lasts until both of us have closed it.
    ///   - log: where its output goes.
    /// - Throws: ``CommandError`` when it can't be started.
    public static func start(
        _ command: Command, by runner: any CommandRunner, standardInput: FileDescriptor, log: FileDescriptor
    ) async throws(CommandError) -> BackgroundProcess {
        let path = FilePath(try runner.requiredPath(of: command.program))
        let group = RunningGroup()
        let (starts, start) = AsyncStream.makeStream(of: Int32.self)
        let running = Task {
            defer { start.finish() }
            _ = try await Subprocess.run(
                .path(path), arguments: Arguments(command.arguments), environment: HostEnvironment.value(.holder),
                platformOptions: HostEnvironment.ownProcessGroup,
                input: .fileDescriptor(standardInput, closeAfterSpawningProcess: false),
                output: .fileDescriptor(log, closeAfterSpawningProcess: false),
                error: .fileDescriptor(log, closeAfterSpawningProcess: false)
            ) { execution in
                group.started(execution.processIdentifier.value)
                start.yield(execution.processIdentifier.value)
                start.finish()
            }
            _ = group.ended()
        }
        // In a task of its own: a stream ends at once for a task that was cancelled, and the program is started all the same.
        let starting = Task { await starts.first { _ in true } }
        if let pid = await starting.value { return BackgroundProcess(pid: pid, group: group, running: running) }
        let result = await running.result
        throw .broken(command: command.description, reason: "did not start: \(result)")
    }

    private init(pid: Int32, group: RunningGroup, running: Task<Void, any Error>) {
        self.pid = pid
        self.group = group
        self.running = running
    }

    /// Whether it has ended.
    public var hasEnded: Bool { group.hasEnded }

    /// Waits until it has ended by itself.
    public func wait() async {
        _ = await running.result
    }

    /// Makes it end (INT, TERM, KILL) and waits until it has.
    public func stop() async {
        group.stop(.signaled(SIGINT))
        await wait()
    }
}
