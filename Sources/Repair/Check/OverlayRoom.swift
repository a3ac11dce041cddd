import HostTools

/// Tells a checker that failed from a host whose filesystem is full: the checker sees no more than an I/O error of its device.
struct OverlayRoom: Sendable {
    /// Folders that overlays are in.
    let folders: Set<String>

    init(folders: Set<String>) {
        self.folders = folders
    }

    init(of plan: Plan) {
        self.init(folders: Set(plan.attached.map(\.overlayFolder)))
    }

    /// What a qcow2 file grows by when it can't be put off: a cluster, a table and a block of reference counts.
    private static var leastGrowth: Int { 3 * 64 << 10 }

    /// Looks after a repairing run.
    ///
    /// - Parameter claim: of the run. One that says all is well has written all that it wanted to.
    /// - Throws: ``DomainProblem`` where an overlay could not grow.
    func check(after claim: Checker.Claim) throws {
        switch claim {
        case .nothingWrong, .repaired: return
        case .errorsLeft, .gaveUp: break
        }
        for folder in folders.sorted() where !Files.hasRoom(for: Self.leastGrowth, in: folder) {
            throw DomainProblem(
                "\(folder): its filesystem got full while a checker wrote to the overlay there; nothing is repaired, the "
                    + "disks are as they were: make room, or give another folder: --scratch-dir DIR")
        }
    }
}
