import Synchronization

/// What happens to an overlay's file when its scope ends. Thrown away, unless the domain's XML may point at it.
final class OverlayFate: Sendable {
    private let isKept = Mutex(false)

    /// From here on the file may be what the domain starts from.
    func keep() { isKept.withLock { $0 = true } }
    /// Nothing points at the file any more.
    func discard() { isKept.withLock { $0 = false } }
    /// Whether the file must stay.
    var mustStay: Bool { isKept.withLock { $0 } }
}
