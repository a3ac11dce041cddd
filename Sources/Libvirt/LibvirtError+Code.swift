internal import CLibvirt

extension LibvirtError {
    /// The kind of a failure: `virErrorNumber` in `libvirt/virterror.h`, and ``timedOut``, which is ours.
    ///
    /// A newer libvirt has codes that have no constant here; they keep their number.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// libvirt's number; negative numbers are ours.
        public let rawValue: Int32

        /// Wraps a number of `virErrorNumber`.
        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        private init(_ number: virErrorNumber) {
            rawValue = Int32(number.rawValue)
        }

        /// The number.
        public var description: String { "\(rawValue)" }

        /// The daemon did not answer in the time that the caller gave. Ours; libvirt has no number for it.
        public static let timedOut = Code(rawValue: -1)
        /// The caller's task was cancelled while it waited. Ours.
        public static let cancelled = Code(rawValue: -2)
        /// There was more than the caller allowed. Ours.
        public static let tooLarge = Code(rawValue: -3)

        /// No error was recorded (`VIR_ERR_OK`).
        public static let ok = Code(VIR_ERR_OK)
        /// Something inside libvirt or QEMU (`VIR_ERR_INTERNAL_ERROR`); also a keepalive timeout.
        public static let internalError = Code(VIR_ERR_INTERNAL_ERROR)
        /// The driver doesn't have this function (`VIR_ERR_NO_SUPPORT`).
        public static let noSupport = Code(VIR_ERR_NO_SUPPORT)
        /// No driver takes the URI (`VIR_ERR_NO_CONNECT`).
        public static let noConnect = Code(VIR_ERR_NO_CONNECT)
        /// The connection isn't open (`VIR_ERR_INVALID_CONN`).
        public static let invalidConnection = Code(VIR_ERR_INVALID_CONN)
        /// An argument isn't acceptable, such as a malformed UUID (`VIR_ERR_INVALID_ARG`).
        public static let invalidArgument = Code(VIR_ERR_INVALID_ARG)
        /// The operation was tried and failed (`VIR_ERR_OPERATION_FAILED`).
        public static let operationFailed = Code(VIR_ERR_OPERATION_FAILED)
        /// The XML is not a domain's (`VIR_ERR_XML_ERROR`).
        public static let xmlError = Code(VIR_ERR_XML_ERROR)
        /// A domain of this name or UUID exists (`VIR_ERR_DOM_EXIST`).
        public static let domainExists = Code(VIR_ERR_DOM_EXIST)
        /// The connection is read-only (`VIR_ERR_OPERATION_DENIED`).
        public static let operationDenied = Code(VIR_ERR_OPERATION_DENIED)
        /// The XML isn't well-formed (`VIR_ERR_XML_DETAIL`).
        public static let xmlDetail = Code(VIR_ERR_XML_DETAIL)
        /// A system call failed, such as the connect to the daemon's socket (`VIR_ERR_SYSTEM_ERROR`).
        public static let systemError = Code(VIR_ERR_SYSTEM_ERROR)
        /// The conversation with the daemon failed (`VIR_ERR_RPC`).
        public static let rpc = Code(VIR_ERR_RPC)
        /// There is no such domain (`VIR_ERR_NO_DOMAIN`).
        public static let noDomain = Code(VIR_ERR_NO_DOMAIN)
        /// The daemon refused the credentials (`VIR_ERR_AUTH_FAILED`).
        public static let authFailed = Code(VIR_ERR_AUTH_FAILED)
        /// There is no such storage pool (`VIR_ERR_NO_STORAGE_POOL`).
        public static let noStoragePool = Code(VIR_ERR_NO_STORAGE_POOL)
        /// There is no such storage volume (`VIR_ERR_NO_STORAGE_VOL`).
        public static let noStorageVolume = Code(VIR_ERR_NO_STORAGE_VOL)
        /// Not possible in the domain's state, such as starting one that runs (`VIR_ERR_OPERATION_INVALID`).
        public static let operationInvalid = Code(VIR_ERR_OPERATION_INVALID)
        /// The configuration asks for what the hypervisor can't do (`VIR_ERR_CONFIG_UNSUPPORTED`).
        public static let configUnsupported = Code(VIR_ERR_CONFIG_UNSUPPORTED)
        /// libvirt waited for something, such as a lock on the domain, for too long (`VIR_ERR_OPERATION_TIMEOUT`).
        public static let operationTimeout = Code(VIR_ERR_OPERATION_TIMEOUT)
        /// A hook script refused (`VIR_ERR_HOOK_SCRIPT_FAILED`).
        public static let hookScriptFailed = Code(VIR_ERR_HOOK_SCRIPT_FAILED)
        /// A flag or parameter isn't known to the driver (`VIR_ERR_ARGUMENT_UNSUPPORTED`).
        public static let argumentUnsupported = Code(VIR_ERR_ARGUMENT_UNSUPPORTED)
        /// The operation was aborted (`VIR_ERR_OPERATION_ABORTED`).
        public static let operationAborted = Code(VIR_ERR_OPERATION_ABORTED)
        /// The user cancelled the authentication (`VIR_ERR_AUTH_CANCELLED`).
        public static let authCancelled = Code(VIR_ERR_AUTH_CANCELLED)
        /// The guest agent is configured, and is not connected or does not answer (`VIR_ERR_AGENT_UNRESPONSIVE`).
        public static let agentUnresponsive = Code(VIR_ERR_AGENT_UNRESPONSIVE)
        /// A block job is active on the disk (`VIR_ERR_BLOCK_COPY_ACTIVE`).
        public static let blockCopyActive = Code(VIR_ERR_BLOCK_COPY_ACTIVE)
        /// The hypervisor can't do this (`VIR_ERR_OPERATION_UNSUPPORTED`).
        public static let operationUnsupported = Code(VIR_ERR_OPERATION_UNSUPPORTED)
        /// Something that is needed is in use (`VIR_ERR_RESOURCE_BUSY`).
        public static let resourceBusy = Code(VIR_ERR_RESOURCE_BUSY)
        /// An access driver such as polkit refused (`VIR_ERR_ACCESS_DENIED`).
        public static let accessDenied = Code(VIR_ERR_ACCESS_DENIED)
        /// The XML doesn't match libvirt's schema (`VIR_ERR_XML_INVALID_SCHEMA`).
        public static let xmlInvalidSchema = Code(VIR_ERR_XML_INVALID_SCHEMA)
        /// No way of authentication is available, such as polkit without an agent (`VIR_ERR_AUTH_UNAVAILABLE`).
        public static let authUnavailable = Code(VIR_ERR_AUTH_UNAVAILABLE)
    }
}
