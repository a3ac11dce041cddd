import Foundation
import Glibc
import Testing

/// Everything that fuzzes; one target after the other, so that a crash has one cause.
@Suite(.serialized)
enum FuzzTests {}

/// What must hold of any input did not.
struct Violation: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

/// Expects something of any input.
func require(_ condition: Bool, _ violation: @autoclosure () -> String) throws(Violation) {
    guard condition else { throw Violation(violation()) }
}

/// Gives a target its whole corpus, then inputs made of it, until the time is over.
///
/// `FUZZ_SECONDS` is the time for each target (2 where it is not set), `FUZZ_SEED` what the inputs follow from (1), `FUZZ_FROM`
/// the iteration to begin with. An input that breaks what must hold is kept in `.build/fuzz`. A crash takes the whole process
/// with it: the file TARGET-SEED.position there has the iteration that was under way.
struct Campaign {
    let name: String
    let words: [String]
    private let folder: String
    private let limit: Int

    /// How much of a processor one input may take: on a machine that does much else, that takes longer.
    private static let patience = Duration.seconds(10)

    /// - Parameters:
    ///   - name: the target's, and its corpus's where nothing else is said.
    ///   - corpus: the folder of its corpus.
    ///   - words: what stands in such inputs.
    ///   - limit: bytes of the largest input that is made.
    init(_ name: String, corpus: String? = nil, words: [String] = [], limit: Int = 1 << 15) {
        self.name = name
        self.words = words
        folder = corpus ?? name
        self.limit = limit
    }

    /// The files of the corpus, in the order of their names.
    var corpus: [(name: String, content: [UInt8])] {
        get throws {
            let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpus/\(folder)")
            return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { file in
                (file, Array(try Data(contentsOf: folder.appending(path: file))))
            }
        }
    }

    /// What this thread has had of a processor.
    private static func processorTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// Tries a property.
    ///
    /// - Parameters:
    ///   - prepared: the corpus as the property takes it; nil for the files as they are.
    ///   - property: throws ``Violation`` where it does not hold.
    func run(from prepared: [[UInt8]]? = nil, _ property: ([UInt8]) throws -> Void) throws {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["FUZZ_SECONDS"].flatMap(Double.init) ?? 2
        let seed = environment["FUZZ_SEED"].flatMap(UInt64.init) ?? 1
        var iteration = environment["FUZZ_FROM"].flatMap(UInt64.init) ?? 0
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../.build/fuzz")
            .standardizedFileURL
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let position = folder.appending(path: "\(name)-\(seed).position")
        _ = FileManager.default.createFile(atPath: position.path, contents: nil)
        let log = try FileHandle(forWritingTo: position)

        func attempt(_ input: [UInt8], _ label: String) throws -> Bool {
            try log.seek(toOffset: 0)
            try log.write(contentsOf: Data((label + "\n").utf8))
            let start = Self.processorTime()
            do {
                try property(input)
                let taken = Self.processorTime() - start
                try require(taken < Self.patience, "it took \(taken) of a processor")
                return true
            } catch {
                let file = folder.appending(path: "\(name)-\(label)")
                try Data(input).write(to: file)
                Issue.record("\(name), \(label), kept in \(file.path): \(error)")
                return false
            }
        }

        let files = try corpus
        try #require(!files.isEmpty, "\(name) has no corpus")
        let inputs = prepared ?? files.map(\.content)
        for (input, file) in zip(inputs, files) {
            _ = try attempt(input, file.name)
        }
        let mutator = Mutator(corpus: inputs, words: words.map { Array($0.utf8) }, limit: limit)
        let end = ContinuousClock.now + .seconds(seconds)
        let first = iteration
        // More of the same help nobody.
        var failures = 0
        while ContinuousClock.now < end, failures < 3 {
            var generator = SeededGenerator(seed: seed, iteration: iteration)
            let isFine = try attempt(mutator.input(from: &generator), "\(seed)-\(iteration)")
            if !isFine { failures += 1 }
            iteration += 1
        }
        try log.close()
        try FileManager.default.removeItem(at: position)
        print("fuzz: \(name): seed \(seed), \(iteration - first) inputs")
    }
}
