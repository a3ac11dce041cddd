/// Whether the device beneath a checker fails while it works.
///
/// e2fsck with `-y` ignores that a block can't be read, writes what it has in the block's place, and claims a repair. When the
/// error doesn't come back (measured, with seven failing reads of an inode table), nothing else tells: what it wrote is on the disk,
/// a second run finds nothing wrong, and half the files are gone. But it uses the same words for a damaged pointer that leads out of
/// the filesystem (EINVAL, a short read), so the kernel is asked.
public struct DeviceTrouble: ~Copyable {
    private let kernel: KernelLog?
    private let names: Set<String>

    /// Listens from now on.
    public init(of device: DeviceNumber) {
        names = DeviceLayers.names(of: device)
        kernel = names.isEmpty ? nil : KernelLog()
    }

    /// What is known of errors since then, in words that end a sentence's first part; nil where there were none.
    ///
    /// - Parameters:
    ///   - log: path of the checker's output, which counts where the kernel can't be asked, or may have kept something to itself.
    ///   - offset: where in it the run begins, in bytes.
    /// - Throws: `Errno` when the log can't be read.
    public func words(log: String, from offset: Int64) throws -> String? {
        let errors = kernel?.errors()
        if let name = errors?.devices.intersection(names).min() {
            return "the host's kernel reports I/O errors of \(name)"
        }
        guard errors?.mayBeIncomplete != false else { return nil }
        var said: String?
        _ = try Files.contains(in: log, from: offset, longest: 128) { text in
            said = Self.complaint(in: text)
            return said != nil
        }
        return said.map { "the checker says \"\($0)\"" }
    }

    /// e2fsck's words for a block that could not be read or written (its `ehandler.c`), with a reason that no pointer out of the
    /// filesystem and no view that is only read can have; or an I/O error of any checker.
    private static func complaint(in text: [UInt8]) -> String? {
        for words in ["Error reading block ", "Error writing block "] {
            var rest = text[...]
            while let mark = rest.firstRange(of: Array(words.utf8)) {
                rest = rest[mark.upperBound...]
                let line = String(decoding: rest.prefix { $0 != UInt8(ascii: "\n") }.prefix(100), as: UTF8.self)
                guard let digit = line.utf8.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit),
                    !damage.contains(where: line.contains)
                else { continue }
                return words + line.prefix { $0 != ")" }
            }
        }
        let mark = "Input/output error"
        return text.firstRange(of: Array(mark.utf8)) == nil ? nil : mark
    }

    /// Reasons that a damaged pointer, or a run that may not write, gives.
    private static let damage = ["(Invalid argument)", "resulted in short ", "(Bad file descriptor)"]
}
