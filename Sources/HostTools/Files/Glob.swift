import Glibc

/// Patterns as a shell has them (glob(7)).
public enum Glob {
    /// Whether a name matches a pattern of `*`, `?` and `[…]` (fnmatch(3)).
    public static func matches(_ name: String, _ pattern: String) -> Bool {
        fnmatch(pattern, name, 0) == 0
    }
}
