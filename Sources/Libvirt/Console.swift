/// What a domain's console says, from the moment it was opened, as chunks of bytes in order.
///
/// It ends when the domain does, when somebody else takes the console by force, and when the connection breaks; ``failure``
/// tells the last two apart from the first. Whoever stops reading, or whose task is cancelled, closes it. One reader at a
/// time.
///
/// **A reader that is too slow loses the oldest bytes, never the newest.** What waits for the reader is at most
/// ``bufferLimit`` bytes. Back pressure is not possible: libvirt reads the console off its socket whether anybody asks or not,
/// and keeps it in memory without a limit (`rx` in its `src/rpc/virnetclientstream.c`), so it is taken from libvirt at once.
/// Where bytes were thrown away a line break stands, so that no line is made of two; ``lostBytes`` counts them.
public struct Console: AsyncSequence, Sendable {
    /// A piece of what the console said, of at most ``chunkLimit`` bytes; never empty.
    public typealias Element = [UInt8]
    /// A console ends, it doesn't throw.
    public typealias Failure = Never

    /// How many bytes wait for a slow reader at most.
    public static let bufferLimit = 1 << 20
    /// How many bytes one chunk has at most.
    public static let chunkLimit = 1 << 16

    private let buffer: ConsoleBuffer
    private let signals: AsyncStream<Void>

    init(_ buffer: ConsoleBuffer, signals: AsyncStream<Void>) {
        self.buffer = buffer
        self.signals = signals
    }

    /// How many bytes were thrown away because nobody read them in time.
    public var lostBytes: UInt64 { buffer.lostBytes }

    /// Why it ended, when it did not end with the domain's own console; nil while it is open.
    public var failure: LibvirtError? { buffer.failure }

    /// Reads from where an earlier reader stopped.
    public func makeAsyncIterator() -> Iterator {
        Iterator(buffer: buffer, signals: signals.makeAsyncIterator())
    }

    /// Reads a ``Console``.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let buffer: ConsoleBuffer
        fileprivate var signals: AsyncStream<Void>.Iterator

        /// Waits for the next chunk; nil at the end, or when the task is cancelled.
        public mutating func next() async -> [UInt8]? {
            while true {
                if let chunk = buffer.take() { return chunk }
                guard await signals.next(isolation: #isolation) != nil else { return buffer.take() }
            }
        }
    }
}
