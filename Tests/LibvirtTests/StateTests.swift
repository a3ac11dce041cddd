import Testing

@testable import Libvirt

struct StateTests {
    /// The words of `virsh domstate --reason`, at their numbers.
    @Test(arguments: [
        (DomainState.running, 1, "booted"), (.running, 8, "event wakeup"), (.running, 9, "crashed"),
        (.running, 11, "post-copy failed"), (.paused, 1, "user"), (.paused, 5, "I/O error"), (.paused, 6, "watchdog"),
        (.paused, 10, "crashed"), (.paused, 11, "starting up"), (.shutdown, 1, "user"), (.shutoff, 1, "shutdown"),
        (.shutoff, 2, "destroyed"), (.shutoff, 3, "crashed"), (.shutoff, 5, "saved"), (.shutoff, 6, "failed"),
        (.shutoff, 8, "daemon"), (.crashed, 1, "panicked"), (.crashed, 0, "unknown"), (.blocked, 0, "unknown"),
        (.shutoff, 99, "unknown"), (.shutoff, -1, "unknown"), (.nostate, 1, "unknown"),
    ]) func `a reason is the word that virsh prints`(state: DomainState, number: Int, word: String) {
        #expect(StateReason(Int32(number), of: state).rawValue == word)
    }

    @Test func `a state is at its number`() {
        #expect((0..<8).map { DomainState(Int32($0)) } == DomainState.allCases)
    }

    @Test func `a state that is newer than this list is none`() {
        #expect(DomainState(99) == .nostate)
        #expect(DomainState(-1) == .nostate)
    }
}
