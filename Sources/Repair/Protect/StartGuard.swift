import HostTools
import Libvirt
import Synchronization

/// Keeps a domain from being started while its disks are ours, as far as that can be, and notices a start all the same.
///
/// Three ways, because each has a gap: libvirt's hook refuses every start, where it is installed; image locks, which QEMU takes
/// for qcow2 disks itself and we take for raw ones, refuse one on a file; libvirt's events tell of one that nothing kept off.
final class StartGuard: Sendable {
    private let watch: StartWatch
    private let hookLock: FileLock
    private let imageLocks = Mutex<[String: ImageLock]>([:])

    /// From the return on no start is missed.
    ///
    /// - Throws: `LibvirtError` when the connection has no events; ``DomainProblem`` where somebody writes to a raw disk.
    init(_ plan: Plan, on connection: Connection) async throws {
        hookLock = try StartHook.lock(plan.domain)
        do {
            watch = try await StartWatch(plan.domain, on: connection)
        } catch {
            hookLock.release()
            throw error
        }
        do {
            for disk in plan.attached where disk.format == "raw" { try lock(disk) }
        } catch {
            stop()
            throw error
        }
    }

    /// What speaks against using the overlays, as `web1: …` goes on; nil while nothing does.
    var objection: String? { watch.objection }

    /// Lets the storage daemon write to a disk. By now the domain points at the overlay, which the daemon has locked.
    func permitMerge(of disk: DiskPlan) {
        imageLocks.withLock { $0.removeValue(forKey: disk.target) }?.release()
    }

    /// From here on the domain may be started.
    func stop() {
        let locks = imageLocks.withLock { locks in
            defer { locks = [:] }
            return Array(locks.values)
        }
        for lock in locks { lock.release() }
        watch.stop()
        hookLock.release()
    }

    private func lock(_ disk: DiskPlan) throws {
        do throws(ImageLock.Failure) {
            let lock = try ImageLock(disk.path)
            imageLocks.withLock { $0[disk.target] = lock }
        } catch {
            switch error {
            case .isWritten:
                throw DomainProblem(
                    "\(disk.target): a process of QEMU's writes to \(disk.path); end it first", kind: .refusal)
            case .unavailable:
                // The filesystem has no such locks; the plan has said so.
                break
            }
        }
    }
}
