import HostTools
import SystemPackage

/// Checks one volume and proves the result.
///
/// The verdict rests on two runs: the one that repairs, on the overlay, and one that writes nothing, through a fresh view.
/// Where the first found nothing, the second looks at the original, which is what stays; where it repaired, at the overlay,
/// which is what will be merged. An exit status alone proves less than it says.
struct VolumeCheck<Mapping: VolumeMapping>: Sendable {
    /// The overlays.
    let overlays: Mapping
    /// The disks below them.
    let originals: Mapping
    let runner: any CommandRunner
    let sandbox: Sandbox
    let allowances: Set<Allowance>
    let folders: RunFolders
    /// Where the overlays of this mapping grow.
    let overlayRoom: OverlayRoom
    /// The program that counts what a repair cost; nil where there is none.
    let program: OwnProgram?
    /// Who reads what a diagnosis needs; nil where there will be none.
    var factReader: FactReader?

    /// How often a repair may be followed by one more.
    private static var rounds: Int { 3 }
    /// Bytes of output after which a checker is stopped: one that never ends prints 200,000 lines a second.
    private static var outputLimit: Int { 64 << 20 }

    /// Checks a volume; whatever the checker does, the answer is a verdict.
    ///
    /// - Throws: only what breaks the whole attachment (a daemon that died, a device that can't be taken down).
    func result(for filed: FiledVolume) async throws -> VolumeResult {
        let volume = filed.volume
        switch volume.content {
        case .nothingToCheck(_, let why):
            return VolumeResult(volume: volume, outcome: .skipped, message: why)
        case .unsupported(_, let why):
            return VolumeResult(volume: volume, outcome: .unsupported, message: why)
        case .unclear(_, let why):
            return VolumeResult(volume: volume, outcome: .notChecked, message: why)
        case .physicalVolume:
            return VolumeResult(
                volume: volume, outcome: .notChecked,
                message: "a physical volume whose LVM metadata can't be read, or that is in no volume group")
        case .filesystem(let type):
            guard let checker = Checker(filesystem: type, allowing: allowances), let layout = volume.layout else {
                return VolumeResult(volume: volume, outcome: .unsupported, message: "no checker for \(type)")
            }
            guard runner.path(of: checker.program) != nil else {
                let missing = CommandError.notFound(
                    program: checker.program, package: DebianPackage.providing(checker.program))
                return VolumeResult(volume: volume, outcome: .unsupported, message: missing.description)
            }
            return try await check(filed, at: layout, with: checker)
        }
    }

    private func check(
        _ filed: FiledVolume, at layout: Layout, with checker: Checker
    ) async throws -> VolumeResult {
        let volume = filed.volume
        var result = VolumeResult(volume: volume, outcome: .unrepaired)
        result.log = "\(folders.log)/\(filed.name).log"
        let log = try folders.openLog(filed.name)
        defer { try? log.close() }
        let logStart = try log.seek(offset: 0, from: .end)
        let start = ContinuousClock.now
        var leastLoss = Loss.Level.none
        result.message = "\(checker.program) repairs it, and finds errors again each time"
        for round in 1...Self.rounds {
            let repair = try await repair(filed, at: layout, with: checker, log: log)
            result.mayLackMemory = repair.mayLackMemory
            result.exitStatus = repair.exitStatus
            leastLoss = max(leastLoss, repair.leastLoss)
            let judgement = try await judge(repair, by: checker, in: round) { mapping in
                let run = try await look(filed, at: layout, of: mapping, with: checker, log: log)
                if run.mayLackMemory { result.mayLackMemory = true }
                result.facts = run.facts
                return run.claim
            }
            if case .settled(let outcome, let message) = judgement {
                result.outcome = outcome
                result.message = message
                break
            }
        }
        result.seconds = (ContinuousClock.now - start).inSeconds
        if result.outcome == .repaired {
            result.take(
                try await loss(filed, at: layout, of: checker, atLeast: leastLoss, logStart, takes: result.seconds),
                allowing: allowances)
        }
        // The facts describe the overlay, which is discarded.
        if result.outcome != .clean, result.outcome != .repaired { result.facts = nil }
        if result.outcome == .unrepaired, let remark = volume.remark { result.message += "; \(remark)" }
        return result
    }

    /// One run of a checker.
    private struct Run: Sendable {
        var claim: Checker.Claim
        var exitStatus: Int32?
        /// What it changed without a word of its exit status, or what the user should know of the change.
        var change: String?
        /// Whether `change` is a repair by itself.
        var isChanged = false
        /// What it cost in any case.
        var leastLoss = Loss.Level.none
        /// What the filesystem has that the checker does not know.
        var unknownFeatures: [String] = []
        /// Whether it wrote anything, as far as is known.
        var hasWritten = true
        /// The last line that it printed.
        var lastWords: String?
        /// Whether it gave up and may have wanted more memory.
        var mayLackMemory = false
        /// What was seen beside it.
        var facts: VolumeFacts?

        /// What e2fsck does without a word of its exit status.
        mutating func take(_ before: ExtSuperblock?, _ after: ExtSuperblock?) {
            guard let before else { return }
            unknownFeatures = before.unknownFeatures
            var changes: [String] = []
            if before.needsReplay { changes.append("its journal was replayed") }
            // Beside a repair of damage it goes without saying.
            if let record = before.errorRecord, claim == .nothingWrong {
                changes.append("its error record was cleared (\(record))")
            }
            guard before.needsReplay || before.errorRecord != nil else { return }
            isChanged = true
            change = changes.isEmpty ? nil : changes.joined(separator: "; ")
            switch claim {
            case .nothingWrong, .repaired:
                if let record = after?.errorRecord { claim = .gaveUp("e2fsck leaves its error record (\(record))") }
            case .errorsLeft, .gaveUp: break
            }
        }
    }

    private enum Judgement {
        case settled(VolumeResult.Outcome, String)
        case again
    }

    /// What a repairing run proves, together with a run that only looks.
    private func judge(
        _ repair: Run, by checker: Checker, in round: Int, look: (Mapping) async throws -> Checker.Claim
    ) async throws -> Judgement {
        switch repair.claim {
        case .errorsLeft: return .settled(.unrepaired, "\(checker.program) can't repair it")
        case .gaveUp where repair.exitStatus.map { $0 & 8 != 0 } == true && !repair.unknownFeatures.isEmpty:
            return .settled(
                .unsupported,
                "has features that \(checker.program) here does not know: \(repair.unknownFeatures.joined(separator: ", ")); "
                    + "check it with a newer one, in the guest perhaps, or its superblock is damaged")
        case .gaveUp(let why): return .settled(.unrepaired, why)
        case .nothingWrong, .repaired: break
        }
        // Nothing was there to change, and nothing is to be seen on the original, which is what stays.
        if repair.claim == .nothingWrong, !repair.isChanged, round == 1, try await look(originals) == .nothingWrong {
            return .settled(.clean, "")
        }
        switch try await look(overlays) {
        case .nothingWrong: return .settled(.repaired, repair.change ?? "")
        case .errorsLeft, .repaired:
            guard !repair.hasWritten else { return .again }
            let words = repair.lastWords.map { ": \"\($0)\"" } ?? ""
            return .settled(.unrepaired, "\(checker.program) finds errors, and gave up without a change\(words)")
        case .gaveUp(let why): return .settled(.unrepaired, why)
        }
    }

    /// Lets the checker repair on the overlay. Its claim counts only when everything it wrote is on disk.
    private func repair(
        _ filed: FiledVolume, at layout: Layout, with checker: Checker, log: FileDescriptor
    ) async throws -> Run {
        try await overlays.withDevice(for: layout, access: .readWrite) { device in
            var run: Run
            let written = DeviceLayers.sectorsWritten(to: device.number)
            switch checker {
            case .ext:
                let before = try ExtSuperblock(device: device.path)
                run = try await self.run(checker, .readWrite, on: device, filed, log: log)
                run.take(before, try ExtSuperblock(device: device.path))
            case .xfs(log: .discard):
                // Only a log that can't be kept is thrown away.
                run = try await self.run(.xfs(log: .keep), .readWrite, on: device, filed, log: log)
                if run.exitStatus == Checker.xfsNeedsReplay {
                    run = try await self.run(checker, .readWrite, on: device, filed, log: log)
                    run.isChanged = true
                    run.leastLoss = .minor
                    run.change = "the changes in its log were discarded, as allowed"
                }
            case .fat, .xfs:
                run = try await self.run(checker, .readWrite, on: device, filed, log: log)
            }
            do {
                try device.sync()
            } catch {
                run.claim = .gaveUp("a write was lost on its way to the overlay: \(error)")
            }
            if let written, DeviceLayers.sectorsWritten(to: device.number) == written { run.hasWritten = false }
            try overlayRoom.check(after: run.claim)
            return run
        }
    }

    /// What the repair on the overlay cost.
    ///
    /// - Parameters:
    ///   - logStart: where the checker's words about this volume begin in its log, in bytes.
    ///   - seconds: how long the checker took; counting may take as long.
    private func loss(
        _ filed: FiledVolume, at layout: Layout, of checker: Checker, atLeast: Loss.Level, _ logStart: Int64,
        takes seconds: Double
    ) async throws -> Loss {
        let meter = LossMeter(runner: runner, sandbox: sandbox, folder: folders.devices, program: program)
        let answer = try await originals.withDevice(for: layout, access: .readOnly) { original in
            try await overlays.withDevice(for: layout, access: .readOnly) { repaired in
                await meter.count(
                    of: filed.volume.type, original: original, repaired: repaired, filedAs: filed.name,
                    limit: .seconds(max(60, seconds)))
            }
        }
        try Task.checkCancellation()
        switch answer {
        case .success(let count): return Loss(count, atLeast: atLeast)
        case .failure(let failure):
            let touchesFiles = try LossSigns.touchesFiles(
                checker, log: "\(folders.log)/\(filed.name).log", from: logStart)
            return Loss(uncounted: failure.description, touchesFiles: touchesFiles)
        }
    }

    /// Lets the checker look without writing.
    private func look(
        _ filed: FiledVolume, at layout: Layout, of mapping: Mapping, with checker: Checker, log: FileDescriptor
    ) async throws -> Run {
        try await mapping.withDevice(for: layout, access: .readOnly) { device in
            async let facts = checker == .ext ? factReader?.facts(on: device, filedAs: filed.name) : nil
            var run = try await self.run(checker, .readOnly, on: device, filed, log: log)
            run.facts = await facts
            return run
        }
    }

    private func run(
        _ checker: Checker, _ mode: DeviceAccess, on device: AttachedDevice, _ filed: FiledVolume, log: FileDescriptor
    ) async throws -> Run {
        let name = filed.name
        let node = try DeviceNode.create(
            at: "\(folders.devices)/check-\(name)", for: device.number, owner: Sandbox.userID, group: Sandbox.userID)
        defer { try? node.remove() }
        // An hour, and one more for each TiB: e2fsck on a slow disk takes minutes per TiB.
        let limit = Duration.seconds(3600 * (1 + Int64(clamping: filed.volume.size >> 40)))
        let shown = Sandbox.Device(node: node.path, name: name)
        let command = sandbox.confine(
            Command(
                checker.program, checker.arguments(mode) + [sandbox.path(of: shown)], timeout: limit,
                outputLimit: Self.outputLimit),
            to: [shown], needing: checker.need)
        _ = try log.writeAll("# \(checker.program) \(checker.arguments(mode).joined(separator: " "))\n".utf8)
        let start = try log.seek(offset: 0, from: .end)
        let trouble = DeviceTrouble(of: device.number)
        let result = try await runner.run(command, log: log)
        try Task.checkCancellation()
        let status = sandbox.status(of: result.status)
        var run = Run(claim: checker.claim(of: status, mode))
        if case .exited(let code) = result.status { run.exitStatus = code }
        if case .gaveUp(let why) = run.claim,
            let remark = MemoryShortage.remark(
                on: status, log: "\(folders.log)/\(name).log", from: start, limit: sandbox.limits.memory)
        {
            run.claim = .gaveUp("\(why); \(remark)")
            run.mayLackMemory = true
        }
        if let words = try trouble.words(log: "\(folders.log)/\(name).log", from: start) {
            run.claim = .gaveUp(
                "\(words): the disk itself fails, and what is made of blocks that can't be read is no repair; look at the host's "
                    + "kernel log, copy the disk, and try again")
        }
        run.lastWords = try Files.end(of: "\(folders.log)/\(name).log", from: start, limit: 1024)
            .split(whereSeparator: \.isNewline).map { $0.drop { $0 == " " } }
            // Its name and version may come last, of what it keeps back.
            .last { !$0.hasPrefix("\(checker.program) ") }.map { String($0.prefix(200)) }
        return run
    }
}

extension Duration {
    /// Seconds with their fraction.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
