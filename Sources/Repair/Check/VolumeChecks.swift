import HostTools
import Synchronization

/// A volume with the name of its log and of its device nodes, which no other volume of the domain has.
struct FiledVolume: Hashable, Sendable {
    var volume: Volume
    var name: String

    /// Names for all volumes of a domain.
    ///
    /// - Returns: the volumes in their order; the names depend on what they are called, not on the order, which may be another
    ///   in the next pass.
    static func all(_ volumes: [Volume]) -> [FiledVolume] {
        let order = volumes.indices.sorted { (volumes[$0].name, $0) < (volumes[$1].name, $1) }
        // The run and the guest's console have logs in the same folder.
        let names = FileName.distinct(order.map { volumes[$0].name }, besides: ["run", "console"])
        return zip(order, names).sorted { $0.0 < $1.0 }.map { FiledVolume(volume: volumes[$0.0], name: $0.1) }
    }
}

/// Checks a domain's volumes: as many at once as the budget of the process lets in, except where they would only be in each
/// other's way.
struct VolumeChecks: Sendable {
    /// Whether other checkers may run at the same time.
    enum Company: Hashable, Sendable {
        case welcome
        case unwanted
    }

    let budget: CheckerBudget
    let company: Company
    /// What a volume has to itself while it is checked: volumes with one of them in common are checked one after the other.
    let resources: @Sendable (Volume) -> Set<String>
    let progress: @Sendable (String) -> Void

    /// The results, in the order of the volumes, however long each took.
    ///
    /// - Parameter check: gives the verdict on one volume.
    /// - Throws: the first error of `check`, when every other check was cancelled and has ended.
    func results(
        of volumes: [FiledVolume], _ check: @escaping @Sendable (FiledVolume) async throws -> VolumeResult
    ) async throws -> [VolumeResult] {
        let underway = Underway(progress: progress)
        var ends: [(index: Int, result: Result<VolumeResult, any Error>)] = []
        await withTaskGroup(of: [(Int, Result<VolumeResult, any Error>)].self) { group in
            for lane in lanes(of: volumes) {
                // In line before the task exists: the checks begin in the volumes' order.
                let ticket = ticket(for: volumes[lane[0]])
                group.addTask {
                    await results(of: lane, among: volumes, first: ticket, underway, check)
                }
            }
            for await lane in group {
                ends += lane
                if lane.contains(where: { $0.1.isFailure }) { group.cancelAll() }
            }
        }
        let failures = ends.compactMap { end -> (any Error)? in
            guard case .failure(let error) = end.result else { return nil }
            return error
        }
        if let error = Self.summary(of: failures) { throw error }
        return try ends.sorted { $0.index < $1.index }.map { try $0.result.get() }
    }

    /// One after the other, until one fails.
    private func results(
        of lane: [Int], among volumes: [FiledVolume], first: CheckerBudget.Ticket?, _ underway: Underway,
        _ check: @Sendable (FiledVolume) async throws -> VolumeResult
    ) async -> [(Int, Result<VolumeResult, any Error>)] {
        var results: [(Int, Result<VolumeResult, any Error>)] = []
        var ticket = first
        for index in lane {
            let volume = volumes[index]
            do {
                guard let mine = ticket ?? self.ticket(for: volume) else {
                    results.append((index, .success(try await check(volume))))
                    continue
                }
                ticket = nil
                var (result, hadCompany) = try await mine.use {
                    try underway.begin(index, volume.volume)
                    do {
                        let result = try await check(volume)
                        underway.end(index)
                        return result
                    } catch {
                        // Before the share goes to somebody who would begin in vain.
                        underway.fail()
                        throw error
                    }
                }
                result.mayLackMemory = result.mayLackMemory && hadCompany
                results.append((index, .success(result)))
            } catch {
                results.append((index, .failure(error)))
                break
            }
        }
        return results
    }

    /// None for what no checker is started for.
    private func ticket(for volume: FiledVolume) -> CheckerBudget.Ticket? {
        guard case .filesystem = volume.volume.content else { return nil }
        return budget.ticket(for: company == .unwanted ? .everything : .memory(Self.memory(for: volume)))
    }

    /// Bytes that a checker may want. A rule of thumb: 2 GiB for each TiB, what the FAQ of XFS says of xfs_repair, and e2fsck
    /// mostly stays below. Where it was not enough, the checks are made again one at a time.
    static func memory(for volume: FiledVolume) -> UInt64 {
        (64 << 20) + volume.volume.size / 512
    }

    /// Indices of the volumes, each list to be checked one after the other.
    func lanes(of volumes: [FiledVolume]) -> [[Int]] {
        var lanes: [(indices: [Int], shared: Set<String>)] = []
        for (index, volume) in volumes.enumerated() {
            var lane = (indices: [index], shared: resources(volume.volume))
            let joined = lanes.filter { !$0.shared.isDisjoint(with: lane.shared) }
            lanes.removeAll { !$0.shared.isDisjoint(with: lane.shared) }
            for other in joined {
                lane.indices += other.indices
                lane.shared.formUnion(other.shared)
            }
            lane.indices.sort()
            lanes.append(lane)
        }
        return lanes.map(\.indices).sorted { ($0.first ?? 0) < ($1.first ?? 0) }
    }

    /// The first error that is no consequence of another, with what could not be cleaned up after any.
    static func summary(of failures: [any Error]) -> (any Error)? {
        guard let first = failures.first(where: { !isCancellation($0) }) ?? failures.first else { return nil }
        guard !(first is CleanUpError), let cleanUp = failures.lazy.compactMap({ $0 as? CleanUpError }).first else {
            return first
        }
        return CleanUpError(work: first, cleanUp: cleanUp.cleanUp)
    }

    private static func isCancellation(_ error: any Error) -> Bool {
        switch error {
        case is CancellationError: true
        case let error as CleanUpError: error.work.map(isCancellation) ?? false
        default: false
        }
    }
}

/// What is being checked at the moment, and says so.
private final class Underway: Sendable {
    private struct State {
        var names: [Int: String] = [:]
        var hasFailed = false
    }

    private let state = Mutex(State())
    private let progress: @Sendable (String) -> Void

    init(progress: @escaping @Sendable (String) -> Void) {
        self.progress = progress
    }

    /// - Throws: `CancellationError` where another check has failed.
    func begin(_ index: Int, _ volume: Volume) throws {
        try state.withLock { state in
            guard !state.hasFailed else { throw CancellationError() }
            state.names[index] = "\(volume.name) (\(volume.type.isEmpty ? "unknown" : volume.type))"
            tell(state.names)
        }
    }

    func end(_ index: Int) {
        state.withLock { state in
            state.names[index] = nil
            if !state.names.isEmpty, !state.hasFailed { tell(state.names) }
        }
    }

    func fail() { state.withLock { $0.hasFailed = true } }

    private func tell(_ names: [Int: String]) {
        progress("checking " + names.sorted { $0.key < $1.key }.map(\.value).joined(separator: ", "))
    }
}

extension Result {
    fileprivate var isFailure: Bool {
        if case .failure = self { true } else { false }
    }
}
