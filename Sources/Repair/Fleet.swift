import HostTools

/// Works on many domains, some at once. What happens to one never stops another.
public struct Fleet: Sendable {
    private let jobs: Int

    /// - Parameter jobs: how many at once; nil for as many as the host has cores.
    public init(jobs: Int? = nil) {
        self.jobs = max(1, jobs ?? Files.coreCount)
    }

    /// What came of each domain, in the order in which they were given. After a cancellation no more are begun, and those have
    /// no row.
    ///
    /// - Parameters:
    ///   - selectors: of the domains, as virsh takes them.
    ///   - work: takes one domain the whole way.
    ///   - whenDone: told each domain's row as soon as it is there, and how many there are by then.
    public func outcomes(
        of selectors: [String], _ work: @escaping @Sendable (String) async -> DomainOutcome,
        whenDone: (DomainOutcome, Int) -> Void = { _, _ in }
    ) async -> [DomainOutcome] {
        await withTaskGroup(of: (Int, DomainOutcome).self) { group in
            var waiting = Array(selectors.enumerated())[...]
            func begin() {
                guard !Task.isCancelled, let (index, selector) = waiting.popFirst() else { return }
                group.addTask { (index, await work(selector)) }
            }
            for _ in 0..<min(jobs, selectors.count) { begin() }
            var rows: [Int: DomainOutcome] = [:]
            for await (index, outcome) in group {
                rows[index] = outcome
                whenDone(outcome, rows.count)
                begin()
            }
            return rows.sorted { $0.key < $1.key }.map(\.value)
        }
    }
}
