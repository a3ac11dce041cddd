import Synchronization

/// Gives names that no other call of the same source gets.
final class NameSource: Sendable {
    private let last = Mutex(0)

    /// `prefix` with a number.
    func next(_ prefix: String) -> String {
        last.withLock { last in
            last += 1
            return "\(prefix)\(last)"
        }
    }
}
