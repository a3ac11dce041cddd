import Foundation
import Glibc
import Synchronization
import Testing

@testable import Libvirt

/// A process waits for libvirtd before it ends, and begins nothing any more.
@Suite(.timeLimit(.minutes(40)))
struct DepartureTests {
    /// A call of libvirt's, which blocks its thread until it is told to return.
    private final class Call: Sendable {
        private let state = Mutex((mayEnd: false, hasEnded: false))
        let departure = Departure()

        var hasEnded: Bool { state.withLock { $0.hasEnded } }

        func end() { state.withLock { $0.mayEnd = true } }

        /// Returns when it is under way. It blocks a thread of its own: two of Swift's pool may be all that there are.
        func begin() async {
            let (begun, begin) = AsyncStream.makeStream(of: Void.self)
            Thread.detachNewThread {
                try? self.departure.unlessLeaving {
                    begin.finish()
                    while !self.state.withLock({ $0.mayEnd }) { usleep(1000) }
                    self.state.withLock { $0.hasEnded = true }
                }
            }
            for await _ in begun {}
        }
    }

    @Test func `who leaves waits for what is under way, and nothing begins any more`() async throws {
        let call = Call()
        await call.begin()
        let leaving = Task {
            await call.departure.leave(within: .seconds(600))
            return call.hasEnded
        }
        while (try? call.departure.unlessLeaving {}) != nil { await Task.yield() }
        call.end()
        #expect(await leaving.value)
    }

    @Test func `a libvirtd that never answers keeps nobody`() async throws {
        let call = Call()
        await call.begin()
        await call.departure.leave(within: .milliseconds(50))
        #expect(!call.hasEnded)
        call.end()
    }
}
