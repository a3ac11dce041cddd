internal import Dispatch

/// Runs the jobs of one actor on a dispatch queue of its own.
///
/// libvirt's calls block until the daemon answers; on the cooperative pool they would starve every other task. (On Linux
/// Dispatch has no `DispatchSerialQueue`, which would be an executor already.)
final class SerialQueueExecutor: SerialExecutor {
    private let queue: DispatchQueue

    init(label: String) {
        queue = DispatchQueue(label: label)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async {
            job.runSynchronously(on: self.asUnownedSerialExecutor())
        }
    }

    func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }
}
