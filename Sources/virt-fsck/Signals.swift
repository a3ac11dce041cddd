import Dispatch
import Glibc

/// Runs `work` in a task that SIGINT, SIGTERM and SIGHUP cancel: it stops at the next safe point and takes down what it
/// attached. A merge that has begun is ended first.
func cancelledBySignals<Value: Sendable>(_ work: @escaping @Sendable () async -> Value) async -> Value {
    let task = Task { await work() }
    let sources = [SIGINT, SIGTERM, SIGHUP].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { task.cancel() }
        source.resume()
        return source
    }
    let value = await task.value
    for source in sources { source.cancel() }
    return value
}
