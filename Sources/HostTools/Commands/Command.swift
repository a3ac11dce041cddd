/// A program of the host with its arguments: a value, so that what would be run can be compared and shown.
///
/// No shell is ever involved: each argument reaches the program as it stands here.
public struct Command: Hashable, Sendable, CustomStringConvertible {
    /// Name of the program, looked up in ``HostCommandRunner/searchPath``.
    public var program: String
    /// Arguments, without the program's own name.
    public var arguments: [String]
    /// How long it may run before it is stopped (INT, TERM, KILL).
    public var timeout: Duration
    /// How many bytes each of its output streams may have before it is stopped.
    public var outputLimit: Int
    /// What it reads from standard input, less than a pipe holds: it is written before anything is read.
    public var input: [UInt8] = []
    /// What becomes of it when it was cancelled and the user can't wait for its end.
    public var haste = Haste.inOrder

    /// How a program ends when nobody has time.
    public enum Haste: Hashable, Sendable {
        /// As always: INT, TERM, KILL, with time between them.
        case inOrder
        /// KILL at once: what it was doing is thrown away anyhow.
        case kill
    }

    /// Describes a run of `program`.
    ///
    /// - Parameters:
    ///   - program: a name without slash, looked up in the fixed search path.
    ///   - arguments: passed as they are.
    ///   - timeout: defaults to a minute: most programs we call answer in milliseconds.
    ///   - outputLimit: bytes per stream; defaults to 16 MiB.
    public init(
        _ program: String, _ arguments: [String], timeout: Duration = .seconds(60), outputLimit: Int = 16 << 20
    ) {
        self.program = program
        self.arguments = arguments
        self.timeout = timeout
        self.outputLimit = outputLimit
    }

    /// Describes a run of `program` with the arguments one by one.
    public init(_ program: String, _ arguments: String..., timeout: Duration = .seconds(60)) {
        self.init(program, arguments, timeout: timeout)
    }

    /// The command as a person would type it; for messages and logs only, never given to a shell.
    public var description: String {
        ([program] + arguments).map(Self.quoted).joined(separator: " ")
    }

    private static func quoted(_ word: String) -> String {
        let plain = word.unicodeScalars.allSatisfy { scalar in
            scalar.isASCII
                && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil
                    || "-_=+./:,@%".unicodeScalars.contains(scalar))
        }
        guard !plain || word.isEmpty else { return word }
        return "'" + word.replacing("'", with: #"'\''"#) + "'"
    }
}

/// How a program ended.
public enum CommandStatus: Hashable, Sendable, CustomStringConvertible {
    /// It exited with this status.
    case exited(Int32)
    /// It was ended by this signal, sent by someone else or by its own fault.
    case signaled(Int32)
    /// It was stopped because it ran longer than ``Command/timeout``.
    case timedOut
    /// It was stopped because it printed more than ``Command/outputLimit``.
    case outputLimitExceeded

    /// For messages: `exit status 4`, `killed by signal 11`.
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signaled(let signal): "killed by signal \(signal)"
        case .timedOut: "stopped: it took too long"
        case .outputLimitExceeded: "stopped: it printed too much"
        }
    }
}

/// What a program left: its end and what it printed. An exit status other than 0 is a result, not an error.
public struct CommandResult: Hashable, Sendable {
    /// How it ended.
    public var status: CommandStatus
    /// Standard output, bytes that are no UTF-8 replaced. Empty where it went to a log file.
    public var output: String
    /// Standard error, bytes that are no UTF-8 replaced.
    public var errorOutput: String

    /// Makes a result; scripted runners in tests do.
    public init(status: CommandStatus, output: String = "", errorOutput: String = "") {
        self.status = status
        self.output = output
        self.errorOutput = errorOutput
    }

    /// Whether it exited with status 0.
    public var isSuccess: Bool { status == .exited(0) }

    /// The last line that says something, of standard error or else of standard output: what to show of a failure. The output
    /// of a program that was killed is cut anywhere, and explains nothing.
    public var complaint: String {
        var text = errorOutput
        if case .exited = status, errorOutput.allSatisfy(\.isWhitespace) { text = output }
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmed }.filter { !$0.isEmpty }
        return lines.last ?? status.description
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}

/// Why a program could not do its work.
public enum CommandError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The program is not installed; `package` is the Debian package that brings it, where we know it.
    case notFound(program: String, package: String?)
    /// It could not be started, or its output not be read.
    case broken(command: String, reason: String)
    /// It ended with another status than the caller can use.
    case failed(command: String, status: CommandStatus, complaint: String)

    /// `subject: what happened; the way out`.
    public var description: String {
        switch self {
        case .notFound(let program, let package?): "\(program): not found; install \(package)"
        case .notFound(let program, nil): "\(program): not found"
        case .broken(let command, let reason): "\(command): \(reason)"
        case .failed(let command, let status, let complaint): "\(command): \(status): \(complaint)"
        }
    }
}
