/// Waiting for what the kernel doesn't tell.
enum Deadline {
    /// Looks again and again, a few milliseconds apart, until `condition` holds.
    ///
    /// - Throws: a ``DomainProblem`` with the words `problem` when it doesn't in time.
    static func wait(
        for limit: Duration, _ problem: @autoclosure () -> String, until condition: () async throws -> Bool
    ) async throws {
        let end = ContinuousClock.now + limit
        while try await !condition() {
            guard ContinuousClock.now < end else { throw DomainProblem(problem()) }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
