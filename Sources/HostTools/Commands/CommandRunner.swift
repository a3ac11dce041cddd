public import SystemPackage

/// The one door to the programs of the host. Tests put a scripted one in its place.
public protocol CommandRunner: Sendable {
    /// The absolute path of a program, or nil where it is not installed.
    func path(of program: String) -> String?

    /// Runs a program to its end and collects what it prints.
    ///
    /// - Throws: ``CommandError/notFound(program:package:)`` and ``CommandError/broken(command:reason:)``; a status
    ///   other than 0 is a result.
    func run(_ command: Command) async throws(CommandError) -> CommandResult

    /// Runs a program to its end, both its output streams going to `log`, which must be open for writing and stays open.
    func run(_ command: Command, log: FileDescriptor) async throws(CommandError) -> CommandResult
}

extension CommandRunner {
    /// The absolute path of a program that we can't do without.
    ///
    /// - Throws: ``CommandError/notFound(program:package:)``.
    @discardableResult
    public func requiredPath(of program: String) throws(CommandError) -> String {
        guard let path = path(of: program) else {
            throw .notFound(program: program, package: DebianPackage.providing(program))
        }
        return path
    }

    /// Runs a program that must exit with status 0 and returns its standard output.
    ///
    /// - Throws: ``CommandError/failed(command:status:complaint:)`` for any other end.
    @discardableResult
    public func output(of command: Command) async throws(CommandError) -> String {
        let result = try await run(command)
        guard result.isSuccess else {
            throw .failed(command: command.description, status: result.status, complaint: result.complaint)
        }
        return result.output
    }
}
