/// What becomes of a repair that was on trial (`--commit after-boot`).
public enum RecoveryDecision: Hashable, Sendable {
    /// Nobody has decided: it is merged where the guest proves that it is up, and left alone otherwise.
    case none
    /// It is merged.
    case keep
    /// It is thrown away.
    case discard
}
