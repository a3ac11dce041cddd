/// The error of some work, and of the cleaning up after it that failed too.
public struct CleanUpError: Error, Sendable, CustomStringConvertible {
    /// What went wrong first; nil where only the cleaning up failed.
    public let work: (any Error)?
    /// What could not be cleaned up.
    public let cleanUp: any Error

    /// Both sentences.
    public var description: String {
        let after = String(describing: cleanUp)
        guard let work else { return "cleaning up failed: \(after)" }
        let before = String(describing: work)
        // A daemon that died is the reason for both.
        return before.contains(after) ? before : "\(before); and cleaning up failed too: \(after)"
    }
}

/// Runs `work`, then `close`, whatever came of it. The closing is not cancelled with the task.
func scoped<Value: Sendable>(
    _ work: () async throws -> Value, close: @escaping @Sendable () async throws -> Void
) async throws -> Value {
    let outcome: Result<Value, any Error>
    do {
        outcome = .success(try await work())
    } catch {
        outcome = .failure(error)
    }
    do {
        try await Task { try await close() }.value
    } catch {
        if case .failure(let first) = outcome { throw CleanUpError(work: first, cleanUp: error) }
        throw CleanUpError(work: nil, cleanUp: error)
    }
    return try outcome.get()
}

/// Opens one scope after the other, each inside the one before, and runs `body` with everything that they lend.
func withAll<Item: Sendable, Lent: Sendable, Value: Sendable>(
    _ items: ArraySlice<Item>, lent: [Lent] = [],
    open: @escaping (Item, (Lent) async throws -> Value) async throws -> Value,
    body: ([Lent]) async throws -> Value
) async throws -> Value {
    guard let first = items.first else { return try await body(lent) }
    return try await open(first) { next in
        try await withAll(items.dropFirst(), lent: lent + [next], open: open, body: body)
    }
}

extension Sequence {
    /// One element after the other.
    func asyncMap<Value>(_ transform: (Element) async -> Value) async -> [Value] {
        var values: [Value] = []
        for element in self { values.append(await transform(element)) }
        return values
    }
}
