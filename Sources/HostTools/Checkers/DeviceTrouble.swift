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
        let mark = Array("Input/output error".utf8)
        let isSaid = try Files.contains(in: log, from: offset, longest: mark.count) { $0.firstRange(of: mark) != nil }
        return isSaid ? "the checker says \"Input/output error\"" : nil
    }
}
