import TestSupport

/// What the guest of a trial has written so far, and what must become of it.
struct TrialWatch: Sendable {
    /// Where a guest's writes go.
    enum Place: Sendable {
        /// Into an overlay, which somebody may throw away.
        case overlay
        /// Into the disk itself, from which nobody may take them.
        case disk
    }

    let patient: Patient
    /// The guest's number when it was seen last, and where it goes; nil where no guest has run.
    private(set) var last: (number: Int, place: Place)?
    private(set) var problems: [String] = []

    private var name: String { patient.shop.name }

    init(_ patient: Patient) { self.patient = patient }

    /// Notes what is wrong.
    mutating func note(_ problem: String) { problems.append(problem) }

    /// Looks at what the host would start the domain with; a guest that runs holds its breath meanwhile.
    mutating func look(_ when: String) async throws -> GuestView.Sight {
        var wasRunning = try await suspend()
        try await readMemory()
        var sight = try await GuestView.look(at: patient)
        // What a run has asked libvirt for just before its death is done after it, too.
        while !wasRunning, try await suspend() {
            wasRunning = true
            try await readMemory()
            sight = try await GuestView.look(at: patient)
        }
        if wasRunning, try await isActive() { try await PrivateLibvirt.shared.virsh("resume", name) }
        if case .neither = sight.state { note("\(when): \(sight.state)") }
        if try await isActive(), let last, !sight.numbers.allSatisfy({ (last.number - 1...last.number).contains($0) }) {
            note("\(when): the running guest has written \(last.number), and its disks have \(sight.numbers)")
        }
        return sight
    }

    /// Starts the domain where that can be, and waits until its guest writes. One that runs is started again.
    mutating func start() async throws {
        try await stop()
        guard (try? await PrivateLibvirt.shared.virsh("start", name)) != nil else { return }
        let name = name
        // Its memory is empty until it has read what it goes on from.
        let before = try await GuestView.look(at: patient).numbers.first ?? 0
        let isWriting = try await eventually {
            try await CountingSector.number(inMemoryOf: name) > before
        }
        if !isWriting { note("the guest doesn't boot from its disks") }
        try await readMemory()
    }

    /// Pulls the domain's plug.
    mutating func stop() async throws {
        guard try await isActive() else { return }
        // Not while what a run has asked libvirt for is still being done.
        _ = try await suspend()
        try await readMemory()
        if try await suspend() { try await readMemory() }
        _ = try? await PrivateLibvirt.shared.virsh("destroy", name)
        if try await isActive() { throw ToolError(description: "\(name) can't be powered off") }
    }

    /// Lets a guest that runs hold its breath.
    ///
    /// - Returns: whether it ran.
    private func suspend() async throws -> Bool {
        guard try await patient.shop.state() == "running" else { return false }
        // It may just have been powered off, too.
        return (try? await PrivateLibvirt.shared.virsh("suspend", name)) != nil
    }

    /// Judges the end, at which the domain is off.
    ///
    /// - Parameter isDiscarded: whether somebody has said that the repair is to be thrown away, and so what the guest wrote
    ///   to its overlay.
    mutating func judge(_ end: GuestView.Sight, isDiscarded: Bool) {
        switch (end.state, last?.place) {
        case (.original, .overlay) where !isDiscarded: note("what the guest wrote to its overlay is thrown away")
        case (.original, nil), (.original, .overlay):
            if !end.numbers.allSatisfy({ $0 == 0 }) {
                note("the guest has written to its original disk: \(end.numbers)")
            }
        case (.original, .disk), (.repaired, .some):
            let number = last?.number ?? 0
            if !end.numbers.allSatisfy({ (number - 1...number).contains($0) }) {
                note("the guest has written \(number), and its disks have \(end.numbers)")
            }
        default: break
        }
    }

    /// Whether the domain is on, be it paused.
    func isActive() async throws -> Bool { try await patient.shop.state() != "shut off" }

    /// A guest that has not come to its boot sector yet has nothing to tell.
    private mutating func readMemory() async throws {
        guard try await isActive() else { return }
        let number: Int
        do {
            number = try await CountingSector.number(inMemoryOf: name)
        } catch {
            guard try await isActive() else { return }
            throw error
        }
        guard number > 0 else { return }
        let live = try await PrivateLibvirt.shared.virsh("domblklist", name)
        last = (number, live.contains(".virt-fsck-") ? .overlay : .disk)
    }
}
