import Libvirt

extension Commit {
    /// Removes the managed save that the user gave up: its memory knows the filesystems from before the repair.
    ///
    /// As late as can be, when everything else speaks for the merge: a run that merges nothing leaves it, and the disks that
    /// it belongs to.
    func discardSavedState() async throws {
        guard plan.discardsSavedState, try await connection.summary(of: plan.domain).hasManagedSave else { return }
        try await connection.removeManagedSave(plan.domain)
    }
}
