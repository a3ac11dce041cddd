/// Measures what a repair cost, by reading the filesystem twice: the original, and what a checker made of it.
public enum LossMeasurement {
    /// The verb by which the program calls itself to measure.
    public static let verb = "measure-loss"

    /// Why nothing was measured.
    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        /// What happened.
        public let description: String
    }

    /// Counts what became of files and folders.
    ///
    /// Both devices hold whatever a guest wrote: this belongs into a sandboxed process of its own.
    ///
    /// - Parameters:
    ///   - type: libblkid's name of the filesystem.
    ///   - original: path of the device with the filesystem as it was.
    ///   - repaired: path of the device with what a checker made of it, and called consistent.
    /// - Throws: `Errno` when a device can't be opened, ``Failure`` when nothing can be read.
    public static func count(of type: String, original: String, repaired: String) throws -> LossCount {
        let before = try DeviceReader(original)
        let after = try DeviceReader(repaired)
        let read: (DeviceReader, DeviceReader?) -> FileTree?
        switch type {
        case "ext2", "ext3", "ext4": read = ExtTreeReader.tree
        case "vfat": read = FATTreeReader.tree
        case "xfs": read = XFSTreeReader.tree
        default: throw Failure(description: "the files of \(type) can't be counted")
        }
        guard let new = read(after, nil), new.hasRoot, !new.lacksItems, !new.lacksNames else {
            throw Failure(description: "the repaired filesystem can't be read whole")
        }
        guard let old = read(before, after) else { throw Failure(description: "the original can't be read") }
        guard !old.lacksFastCommits else { throw Failure(description: "its journal holds fast commits") }
        return LossCount(from: old, to: new)
    }
}
