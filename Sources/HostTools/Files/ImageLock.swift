import CLinux
import Glibc
public import SystemPackage

/// What keeps QEMU from opening an image for writing: read locks on the bytes that say "nobody else may write" and "nobody
/// else may resize" (QEMU: docs/devel, "Image locking"; `block/file-posix.c`, `RAW_LOCK_SHARED_BASE` 200 and the bits of
/// `BLK_PERM_WRITE` and `BLK_PERM_RESIZE`).
///
/// QEMU takes them itself for qcow2, and not for raw images. They belong to the open file: they are gone with the process,
/// and with the last copy of the descriptor. On a block device they meet only those who open the same node: not QEMU in a
/// mount namespace of its own, where libvirt makes another node for the device.
public final class ImageLock: Sendable {
    /// Why an image can't be locked.
    public enum Failure: Error, Hashable, Sendable {
        /// A process of QEMU's has it open for writing.
        case isWritten
        /// Its filesystem has no such locks, or it can't be opened.
        case unavailable(Errno)
    }

    private let descriptor: FileDescriptor

    /// Locks an image.
    ///
    /// - Throws: ``Failure``.
    public init(_ path: String) throws(Failure) {
        let file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { throw .unavailable(Errno(rawValue: errno)) }
        descriptor = FileDescriptor(rawValue: file)
        // As QEMU does it: first lock, then look; of two that do so at once no one misses the other.
        for permission in Self.permissions where shim_lock_byte(file, Int16(F_RDLCK), 200 + permission) != 0 {
            let error = Errno(rawValue: errno)
            close(file)
            throw .unavailable(error)
        }
        for permission in Self.permissions where shim_is_byte_locked(file, 100 + permission) != 0 {
            close(file)
            throw .isWritten
        }
    }

    /// Whether an image can be locked at all; says nothing of who has it.
    public static func isPossible(on path: String) -> Bool {
        let file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return shim_is_byte_locked(file, 200) >= 0
    }

    /// Lets others write to it.
    public func release() {
        // A program that is just being started has a copy of the descriptor until its exec: closing ours would not unlock.
        for permission in Self.permissions { _ = shim_lock_byte(descriptor.rawValue, Int16(F_UNLCK), 200 + permission) }
        close(descriptor.rawValue)
    }

    /// `BLK_PERM_WRITE` and `BLK_PERM_RESIZE`, as numbers of their bits (QEMU: `include/block/block-common.h`).
    private static let permissions = [1, 3]
}
