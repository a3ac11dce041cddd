import Glibc

/// A file descriptor, closed with its owner.
struct OwnedDescriptor: ~Copyable {
    let value: Int32

    init(_ value: Int32) {
        self.value = value
    }

    /// Opens `path` close-on-exec.
    init(opening path: String, _ flags: Int32, advice: String? = nil) throws(DeviceError) {
        let descriptor = open(path, flags | O_CLOEXEC)
        guard descriptor >= 0 else { throw .current(path, "open", advice: advice) }
        self.init(descriptor)
    }

    deinit {
        close(value)
    }
}

/// Pauses between attempts: from 1 ms, doubling up to 50 ms, until a deadline.
struct Backoff {
    private let deadline: ContinuousClock.Instant
    private var microseconds: UInt32 = 1000

    init(_ timeout: Duration) {
        deadline = .now + timeout
    }

    /// Pauses this thread, or returns false after the deadline.
    mutating func pause() -> Bool {
        guard ContinuousClock.now < deadline else { return false }
        usleep(microseconds)
        microseconds = min(microseconds * 2, 50000)
        return true
    }
}
