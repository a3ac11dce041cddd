import Dispatch
import Glibc
import Synchronization

/// Runs `work` in a task that SIGINT, SIGTERM and SIGHUP cancel: it stops at the next safe point and takes down what it
/// attached. A merge that has begun is ended first.
///
/// - Parameter hurry: called at the second signal: ends what the first one asks politely, and must spare everything that a
///   disk depends on.
func cancelledBySignals<Value: Sendable>(
    hurry: @escaping @Sendable () -> Void, _ work: @escaping @Sendable () async -> Value
) async -> Value {
    let task = Task { await work() }
    let count = Mutex(0)
    let sources = [SIGINT, SIGTERM, SIGHUP].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            switch count.withLock({ count in
                count += 1
                return count
            }) {
            case 1:
                Terminal.error("virt-fsck: stopping at the next safe point; press again to hurry\n")
                task.cancel()
            case 2:
                Terminal.error(
                    "virt-fsck: hurrying: running checkers are killed; what was attached is taken down, and a merge that "
                        + "has begun is ended first; once more, where libvirt or a disk no longer answers, to leave everything as it "
                        + "is\n")
                hurry()
            case 3:
                // What kill -9 may do at any moment, this may do, too.
                Terminal.error("virt-fsck: left; look what is left to do: virt-fsck recover\n")
                _exit(32)
            default: break
            }
        }
        source.resume()
        return source
    }
    let value = await task.value
    for source in sources { source.cancel() }
    return value
}
