internal import CLibvirt

/// Whether a guest agent answered.
public enum AgentAnswer: Hashable, Sendable {
    /// It did: its operating system runs.
    case answered
    /// The domain has no channel for an agent.
    case notConfigured
    /// It has one, and nothing came in time: no agent has opened it, or the one that has is silent. The text says which, as
    /// far as libvirt knows.
    case silent(String)
    /// It could not be asked, or its answer was none: the domain is off or paused (``LibvirtError/Code/operationInvalid``), the
    /// agent sent garbage, libvirt is gone.
    case failed(LibvirtError)
}

/// Asks the agent inside a guest (qemu-ga) whether it is there.
///
/// A call to an agent blocks for as long as the agent likes: libvirt waits 5 s for the first sign of it, then for the answer
/// without a limit (`qemuAgentGuestSync`, `qemuAgentCommand` in its `src/qemu/qemu_agent.c`). So this has a connection of its own, opened with the first
/// question; other calls never wait for it. A question that got no answer in time goes on in the background, and the next one
/// waits for the same answer: an agent that is stuck costs one connection and its thread, until it answers or the domain
/// ends.
public actor GuestAgent {
    private let uri: String
    private let domain: DomainID
    private var connection: Connection?
    private var question: Task<AgentAnswer, Never>?

    /// Makes one; nothing is asked yet.
    ///
    /// - Parameters:
    ///   - domain: whose agent.
    ///   - connection: one to the same libvirt.
    /// - Throws: ``LibvirtError``.
    public init(of domain: DomainID, on connection: Connection) async throws(LibvirtError) {
        self.init(of: domain, uri: try await connection.uri())
    }

    init(of domain: DomainID, uri: String) {
        self.domain = domain
        self.uri = uri
    }

    /// Asks for the guest's time, which changes nothing and, unlike a raw agent command, leaves no mark on the domain
    /// (`virDomainGetTime`).
    ///
    /// - Parameter timeout: how long to wait for the answer.
    /// - Returns: what is known then; a cancelled task gets ``AgentAnswer/silent(_:)`` at once.
    public func answer(within timeout: Duration) async -> AgentAnswer {
        let question = self.question ?? Task { await self.ask() }
        self.question = question
        // Unstructured: a task group would wait for the question, which is what must not happen.
        let (answers, continuation) = AsyncStream<AgentAnswer>.makeStream()
        Task { continuation.yield(await question.value) }
        let timer = Task {
            guard (try? await Task.sleep(for: timeout)) != nil else { return }
            continuation.yield(.silent("no answer within \(timeout)"))
        }
        defer { timer.cancel() }
        for await answer in answers { return answer }
        return .silent("cancelled before it answered")
    }

    private func ask() async -> AgentAnswer {
        defer { question = nil }
        do throws(LibvirtError) {
            let connection: Connection
            if let known = self.connection, await known.isAlive() {
                connection = known
            } else {
                connection = try await Connection.open(uri)
                self.connection = connection
            }
            try await connection.askAgent(of: domain)
            return .answered
        } catch {
            switch error.code {
            case .argumentUnsupported: return .notConfigured
            case .agentUnresponsive: return .silent(error.message)
            default: return .failed(error)
            }
        }
    }
}

extension Connection {
    fileprivate func askAgent(of id: DomainID) throws(LibvirtError) {
        try withDomain(id) { domain throws(LibvirtError) in
            var seconds: Int64 = 0
            var nanoseconds: UInt32 = 0
            try LibvirtError.check("virDomainGetTime", virDomainGetTime(domain, &seconds, &nanoseconds, 0))
        }
    }
}
