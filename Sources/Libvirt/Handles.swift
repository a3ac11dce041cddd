internal import CLibvirt
internal import Glibc

// One owner per C reference: the copy that Swift forbids is the double free that C allows.
//
// The handles lend their pointer to a closure. A caller reads the call's error inside it: freeing a handle resets the
// thread's error.

/// Owns a `virConnectPtr`, or nothing yet.
struct ConnectionHandle: ~Copyable {
    /// libvirt refuses NULL with `VIR_ERR_INVALID_CONN`.
    let pointer: virConnectPtr?
    /// Told when the connection breaks. Held here, not by libvirt: for drivers without a close callback libvirt accepts the
    /// registration, but never calls the function that would let go of it.
    private let hub: EventHub

    init(owning pointer: virConnectPtr?, hub: EventHub) {
        self.pointer = pointer
        self.hub = hub
        guard let pointer else { return }
        virConnectRegisterCloseCallback(
            pointer, connectionClosed, Unmanaged.passUnretained(hub).toOpaque(), nil)
    }

    deinit {
        guard let pointer else { return }
        // The registration holds a reference: without this the connection would never close. It also waits for a call that
        // is on its way (virConnectCloseCallbackData has a lock), so that the hub may go.
        virConnectUnregisterCloseCallback(pointer, connectionClosed)
        virConnectClose(pointer)
    }
}

/// Owns a `virDomainPtr`.
struct DomainHandle: ~Copyable {
    private let pointer: virDomainPtr

    init(owning pointer: virDomainPtr) {
        self.pointer = pointer
    }

    borrowing func lend<Result>(
        _ body: (virDomainPtr) throws(LibvirtError) -> Result
    ) throws(LibvirtError) -> Result {
        try body(pointer)
    }

    deinit {
        virDomainFree(pointer)
    }
}

/// Owns an array that libvirt allocated (`virConnectListAllDomains` and its like), and every object in it.
struct HandleList: ~Copyable {
    private let array: UnsafeMutablePointer<OpaquePointer?>?
    private let count: Int
    private let release: (OpaquePointer) -> Void

    /// - Parameter release: gives one object back.
    init(
        owning array: UnsafeMutablePointer<OpaquePointer?>?, count: Int, release: @escaping (OpaquePointer) -> Void
    ) {
        self.array = array
        self.count = count
        self.release = release
    }

    borrowing func map<Value>(_ body: (OpaquePointer) throws(LibvirtError) -> Value?) throws(LibvirtError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(count)
        for index in 0..<count {
            guard let object = array?[index], let value = try body(object) else { continue }
            values.append(value)
        }
        return values
    }

    deinit {
        for index in 0..<count {
            if let object = array?[index] { release(object) }
        }
        free(array)
    }
}

/// Owns a `virStoragePoolPtr`.
struct StoragePoolHandle: ~Copyable {
    private let pointer: virStoragePoolPtr

    init(owning pointer: virStoragePoolPtr) {
        self.pointer = pointer
    }

    borrowing func lend<Result>(
        _ body: (virStoragePoolPtr) throws(LibvirtError) -> Result
    ) throws(LibvirtError) -> Result {
        try body(pointer)
    }

    deinit {
        virStoragePoolFree(pointer)
    }
}

/// Owns a `virStorageVolPtr`.
struct StorageVolumeHandle: ~Copyable {
    private let pointer: virStorageVolPtr

    init(owning pointer: virStorageVolPtr) {
        self.pointer = pointer
    }

    borrowing func lend<Result>(
        _ body: (virStorageVolPtr) throws(LibvirtError) -> Result
    ) throws(LibvirtError) -> Result {
        try body(pointer)
    }

    deinit {
        virStorageVolFree(pointer)
    }
}

extension String {
    /// Copies a string that a C function allocated, and frees it.
    init(adopting text: UnsafeMutablePointer<CChar>) {
        self.init(cString: text)
        free(text)
    }
}
