internal import CLibvirt
internal import Glibc
internal import Synchronization

/// What was read from a console and waits for its reader: at most ``Console/bufferLimit`` bytes, the newest ones.
final class ConsoleBuffer: Sendable {
    private struct State {
        /// Oldest first; together as small as the limit, so that removing the first costs nothing that counts.
        var chunks: [[UInt8]] = []
        var count = 0
        var lostBytes: UInt64 = 0
        var failure: LibvirtError?
        var hasEnded = false

        /// Keeps the newest bytes, from the beginning of a line on where there is one.
        mutating func forgetOldest() {
            guard count > Console.bufferLimit else { return }
            var lost = 0
            while count > Console.bufferLimit, chunks.count > 1 {
                let chunk = chunks.removeFirst()
                count -= chunk.count
                lost += chunk.count
            }
            // memchr, and not firstIndex: what is slower than the flood lets libvirt's own memory grow.
            let lineBreak = chunks[0].withUnsafeBytes { bytes in
                bytes.baseAddress.flatMap { start in
                    memchr(start, Int32(UInt8(ascii: "\n")), bytes.count).map { UnsafeRawPointer($0) - start }
                }
            }
            if let lineBreak {
                chunks[0].removeSubrange(..<lineBreak)
                count -= lineBreak
                lost += lineBreak
            } else {
                chunks[0].insert(UInt8(ascii: "\n"), at: 0)
                count += 1
            }
            lostBytes += UInt64(lost)
        }
    }

    private let state = Mutex(State())
    /// Tells the reader that there is something; one signal waits at most.
    private let signal: AsyncStream<Void>.Continuation

    init(signal: AsyncStream<Void>.Continuation) {
        self.signal = signal
    }

    var lostBytes: UInt64 { state.withLock { $0.lostBytes } }
    var failure: LibvirtError? { state.withLock { $0.failure } }

    /// Adds bytes at the end, and throws the oldest chunks away while there are too many.
    func add(_ bytes: UnsafeBufferPointer<UInt8>) {
        state.withLock { state in
            var rest = bytes[...]
            while !rest.isEmpty {
                // A slow serial port gives a byte at a time: one array each would be fifty times the limit.
                let room = state.chunks.last.map { Console.chunkLimit - $0.count } ?? 0
                if room == 0 {
                    state.chunks.append([])
                    continue
                }
                let piece = rest.prefix(room)
                state.chunks[state.chunks.count - 1].append(contentsOf: piece)
                state.count += piece.count
                rest = rest.dropFirst(piece.count)
            }
            state.forgetOldest()
        }
        signal.yield()
    }

    /// Takes the oldest chunk; nil when there is none.
    func take() -> [UInt8]? {
        state.withLock { state in
            guard !state.chunks.isEmpty else { return nil }
            let chunk = state.chunks.removeFirst()
            state.count -= chunk.count
            return chunk
        }
    }

    /// Ends it; only the first reason counts. What waits is still given to the reader.
    func end(_ failure: LibvirtError? = nil) {
        state.withLock { state in
            if !state.hasEnded { state.failure = failure }
            state.hasEnded = true
        }
        signal.finish()
    }

    /// Takes everything that libvirt holds; gives whether more can come.
    ///
    /// On the event loop's thread: nothing here waits.
    func drain(_ stream: virStreamPtr) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Console.chunkLimit, alignment: 1) { memory in
            let bytes = memory.bindMemory(to: UInt8.self)
            // Not for ever: other events wait. libvirt calls again when something is left.
            for _ in 0..<256 {
                let count = virStreamRecv(stream, memory.bindMemory(to: CChar.self).baseAddress, memory.count)
                switch count {
                case 1...: add(UnsafeBufferPointer(rebasing: bytes[..<Int(count)]))
                case -2: return true  // Nothing more for now.
                case 0:
                    end()
                    return false
                default:
                    end(.last("virStreamRecv"))
                    return false
                }
            }
            return true
        }
    }
}
