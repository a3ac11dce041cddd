import CDevMapper
import Glibc
import Synchronization
import SystemPackage

/// Makes block devices out of parts of others (libdevmapper).
///
/// Nothing but us shall notice them: the udev rules that would scan, link or activate what is in them are told not to, and no
/// node appears under /dev/mapper. Where udev runs, each call waits until it is done with the device, so that it doesn't hold
/// the device open when the next step wants it.
///
/// libdevmapper has global state: calls from several threads take turns.
public enum DeviceMapper {
    /// Whether the kernel's device-mapper answers. Loading the module is someone else's decision.
    public static var isAvailable: Bool {
        // Without this look libdevmapper would make the control node itself.
        guard access("/dev/mapper/control", F_OK) == 0 else { return false }
        return library.withLock { library in
            library.prepare()
            var version = [CChar](repeating: 0, count: 64)
            return dm_driver_version(&version, version.count) == 1
        }
    }

    /// Makes and activates a device.
    ///
    /// - Parameters:
    ///   - name: 1–127 letters, digits and `#+-.:=@_`.
    ///   - uuid: a second unique name for it, or nil.
    ///   - table: its extents, in order and without gaps from sector 0 on.
    ///   - access: `.readOnly` makes the kernel refuse writes.
    /// - Throws: ``MapperError``; no device is left then.
    public static func create(
        name: String, uuid: String? = nil, table: [MappedExtent], access: DeviceAccess = .readWrite
    ) throws(MapperError) -> MappedDevice {
        try check(name)
        try check(table, name: name)
        guard isAvailable else { throw .notAvailable }
        // Step by step: libdevmapper's create with a table loses the kernel's answer.
        try locked { () throws(MapperError) in
            let task = try Task(DM_DEVICE_CREATE, name: name, operation: "create")
            if let uuid {
                try task.require(dm_task_set_uuid(task.pointer, uuid))
            }
            try task.run()
        }
        do throws(MapperError) {
            return try activate(name: name, table: table, access: access)
        } catch {
            try? removeOnce(name: name)
            throw error
        }
    }

    private static func activate(
        name: String, table: [MappedExtent], access: DeviceAccess
    ) throws(MapperError) -> MappedDevice {
        try withUdevWait { cookie throws(MapperError) in
            let load = try Task(DM_DEVICE_RELOAD, name: name, operation: "load table")
            if access == .readOnly {
                try load.require(dm_task_set_ro(load.pointer))
            }
            for extent in table {
                try load.require(
                    dm_task_add_target(
                        load.pointer, extent.start, extent.length, extent.targetName, extent.targetParameters))
            }
            try load.run()
            let resume = try Task(DM_DEVICE_RESUME, name: name, operation: "resume")
            try resume.run(&cookie)
            var info = dm_info()
            try resume.require(dm_task_get_info(resume.pointer, &info))
            return MappedDevice(name: name, number: DeviceNumber(major: info.major, minor: info.minor))
        }
    }

    /// Removes a device. One that is gone already is fine.
    ///
    /// - Parameter timeout: for how long to try again while something (udev, a scanner) has it open.
    /// - Throws: ``MapperError/failed(name:operation:code:message:)`` with `EBUSY` where it is still in use then.
    public static func remove(name: String, timeout: Duration = .seconds(10)) throws(MapperError) {
        try check(name)
        guard isAvailable else { throw .notAvailable }
        var backoff = Backoff(timeout)
        while true {
            do throws(MapperError) {
                return try removeOnce(name: name)
            } catch {
                guard case .failed(_, _, let code, _) = error else { throw error }
                switch code {
                case .noSuchAddressOrDevice: return
                case .resourceBusy where backoff.pause(): continue
                default: throw error
                }
            }
        }
    }

    private static func removeOnce(name: String) throws(MapperError) {
        try withUdevWait { cookie throws(MapperError) in
            let task = try Task(DM_DEVICE_REMOVE, name: name, operation: "remove")
            try task.run(&cookie)
        }
    }

    /// Whether there is a device of this name; false also where there is no device-mapper.
    ///
    /// - Throws: what the kernel said, other than that there is none.
    public static func exists(name: String) throws(MapperError) -> Bool {
        try check(name)
        guard isAvailable else { return false }
        return try locked { () throws(MapperError) in
            let task = try Task(DM_DEVICE_INFO, name: name, operation: "info")
            try task.run()
            var info = dm_info()
            try task.require(dm_task_get_info(task.pointer, &info))
            return info.exists != 0
        }
    }

    /// Where the bytes of a device lie, for one that is made of linear and striped parts only; nil for any other, and where
    /// device-mapper doesn't tell.
    static func places(of device: DeviceNumber) -> MappedPlaces? {
        guard isAvailable else { return nil }
        return try? locked { () throws(MapperError) in
            let task = try Task(DM_DEVICE_TABLE, device: device, operation: "table")
            try task.run()
            return task.places()
        }
    }

    // MARK: - What is checked before the kernel is asked

    private static func check(_ name: String) throws(MapperError) {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "#+-.:=@_".utf8.contains(byte)
            }
        }
        guard isPlain, (1..<128).contains(name.utf8.count), name != ".", name != ".." else { throw .invalidName(name) }
    }

    private static func check(_ table: [MappedExtent], name: String) throws(MapperError) {
        guard !table.isEmpty else { throw .invalidTable(name: name, reason: "it is empty") }
        var end: UInt64 = 0
        for extent in table {
            guard extent.start == end, extent.length > 0 else {
                throw .invalidTable(name: name, reason: "sector \(end) isn't followed by the next extent")
            }
            let (next, overflow) = end.addingReportingOverflow(extent.length)
            guard !overflow, next <= UInt64(Int64.max) / 512 else {
                throw .invalidTable(name: name, reason: "it is larger than a device can be")
            }
            if case .striped(let chunk, let places) = extent.target, chunk == 0 || places.isEmpty {
                throw .invalidTable(name: name, reason: "stripes without devices or size")
            }
            end = next
        }
    }

    // MARK: - libdevmapper

    private static let library = Mutex(Library())

    /// For how long udev may work on one event. It is waited for as a courtesy: afterwards we go on without it.
    private static let udevPatience = Duration.seconds(30)

    private static func locked<Value>(_ body: () throws(MapperError) -> Value) throws(MapperError) -> Value {
        try library.withLock { library throws(MapperError) in
            library.prepare()
            shim_dm_clear_message()
            return try body()
        }
    }

    /// Runs a task that makes udev act, and waits for udev; also when the task failed, for the semaphore lives until then.
    private static func withUdevWait<Value>(
        _ body: (inout UInt32) throws(MapperError) -> Value
    ) throws(MapperError) -> Value {
        var cookie: UInt32 = 0
        let outcome: Result<Value, MapperError>
        do {
            outcome = .success(try locked { () throws(MapperError) in try body(&cookie) })
        } catch {
            outcome = .failure(error)
        }
        waitForUdev(cookie)
        return try outcome.get()
    }

    /// libdevmapper's own wait has no end where udev hangs, and would keep the other threads out.
    private static func waitForUdev(_ cookie: UInt32) {
        guard cookie != 0 else { return }
        var backoff = Backoff(udevPatience)
        while true {
            let isOver = library.withLock { _ in
                var ready: Int32 = 0
                return dm_udev_wait_immediate(cookie, &ready) == 0 || ready != 0
            }
            if isOver { return }
            guard backoff.pause() else { break }
        }
        library.withLock { _ in
            // In udev's place, so that the wait ends and removes the semaphore.
            dm_udev_complete(cookie)
            dm_udev_wait(cookie)
        }
    }
}

private struct Library: Sendable {
    var isPrepared = false

    mutating func prepare() {
        guard !isPrepared else { return }
        shim_dm_keep_messages()
        isPrepared = true
    }
}

/// A `dm_task`, destroyed with its owner. Lives under the library's lock.
private struct Task: ~Copyable {
    let pointer: OpaquePointer
    private let name: String
    private let operation: String

    init(_ type: Int, name: String, operation: String) throws(MapperError) {
        guard let pointer = dm_task_create(Int32(type)) else {
            throw .failed(name: name, operation: operation, code: .noMemory, message: "")
        }
        guard dm_task_set_name(pointer, name) == 1 else {
            dm_task_destroy(pointer)
            throw .failed(name: name, operation: operation, code: .invalidArgument, message: "")
        }
        self.pointer = pointer
        self.name = name
        self.operation = operation
    }

    init(_ type: Int, device: DeviceNumber, operation: String) throws(MapperError) {
        name = "\(device)"
        guard let pointer = dm_task_create(Int32(type)) else {
            throw .failed(name: name, operation: operation, code: .noMemory, message: "")
        }
        guard dm_task_set_major(pointer, Int32(clamping: device.major)) == 1,
            dm_task_set_minor(pointer, Int32(clamping: device.minor)) == 1
        else {
            dm_task_destroy(pointer)
            throw .failed(name: name, operation: operation, code: .invalidArgument, message: "")
        }
        self.pointer = pointer
        self.operation = operation
    }

    deinit {
        dm_task_destroy(pointer)
    }

    /// The parts of a table that was asked for; nil where one is neither linear nor striped (kernel:
    /// `Documentation/admin-guide/device-mapper/linear.rst`: `device offset`; `striped.rst`:
    /// `stripes chunk`, and the same for each).
    borrowing func places() -> MappedPlaces? {
        var places = MappedPlaces()
        var next: UnsafeMutableRawPointer?
        repeat {
            var (start, length) = (UInt64(0), UInt64(0))
            var type: UnsafeMutablePointer<CChar>?
            var parameters: UnsafeMutablePointer<CChar>?
            next = dm_get_next_target(pointer, next, &start, &length, &type, &parameters)
            guard let type, let parameters else { return nil }
            let words = String(cString: parameters).split(separator: " ")
            let isLinear = String(cString: type) == "linear"
            guard isLinear || String(cString: type) == "striped" else { return nil }
            let stripes = isLinear ? words[...] : words.dropFirst(2)
            guard !stripes.isEmpty, stripes.count.isMultiple(of: 2) else { return nil }
            if !isLinear { places.isInOrder = false }
            for index in stride(from: stripes.startIndex, to: stripes.endIndex, by: 2) {
                guard let device = DeviceNumber(String(stripes[index])), let offset = UInt64(stripes[index + 1]) else {
                    return nil
                }
                let count = length / UInt64(stripes.count / 2)
                places.extents.append(StorageExtent(node: .device(device), sectors: offset, count: count))
            }
        } while next != nil
        return places
    }

    /// Turns libdevmapper's 0 into an error.
    borrowing func require(_ result: Int32) throws(MapperError) {
        guard result == 0 else { return }
        let code = dm_task_get_errno(pointer)
        throw .failed(
            name: name, operation: operation, code: Errno(rawValue: code == 0 ? EINVAL : code),
            message: String(cString: shim_dm_message()))
    }

    borrowing func run() throws(MapperError) {
        try require(dm_task_run(pointer))
    }

    /// Runs it with all udev rules off. The last two flags keep the node in /dev/mapper from being made: by udev, and by
    /// libdevmapper in its place.
    borrowing func run(_ cookie: inout UInt32) throws(MapperError) {
        let flags =
            DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | DM_UDEV_DISABLE_DISK_RULES_FLAG | DM_UDEV_DISABLE_OTHER_RULES_FLAG
            | DM_UDEV_DISABLE_DM_RULES_FLAG | DM_UDEV_DISABLE_LIBRARY_FALLBACK
        try require(dm_task_set_cookie(pointer, &cookie, UInt16(flags)))
        try run()
    }
}

/// Where the bytes of a mapped device lie.
struct MappedPlaces: Hashable {
    var extents: [StorageExtent] = []
    /// Whether they are the device's bytes one after the other.
    var isInOrder = true
}
