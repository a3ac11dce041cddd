internal import CLibvirt

/// What libvirt said about a call that failed (`virError` in `libvirt/virterror.h`).
///
/// Branch on ``code``, never on the text: the text is translated and changes between releases.
public struct LibvirtError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The C function that failed, such as `virDomainCreateWithFlags`.
    public let call: String
    /// What kind of failure it was.
    public let code: Code
    /// The part of libvirt that raised it (`virErrorDomain` in `libvirt/virterror.h`: 10 is the QEMU driver, 7 is RPC);
    /// 0 when the error is ours.
    public let domain: Int32
    /// libvirt's message, complete, without the name of the call.
    public let message: String

    /// Makes an error; libvirt's own come from the calls of ``Connection``.
    ///
    /// - Parameters:
    ///   - call: the C function.
    ///   - code: the kind of failure.
    ///   - domain: `virErrorDomain`, 0 for none.
    ///   - message: the text for people.
    public init(call: String, code: Code, domain: Int32 = 0, message: String) {
        self.call = call
        self.code = code
        self.domain = domain
        self.message = message
    }

    /// `call: message`.
    public var description: String { "\(call): \(message)" }
}

extension LibvirtError {
    /// The error of the last call on this thread.
    ///
    /// libvirt keeps the error per thread, and the next call, freeing a handle included, resets it: read it in the same
    /// synchronous function as the call, before any handle is freed.
    static func last(_ call: String) -> LibvirtError {
        guard let error = virGetLastError()?.pointee else {
            return LibvirtError(call: call, code: .ok, message: "failed, and libvirt does not say why")
        }
        let message = error.message.map { String(cString: $0) } ?? "failed without a message"
        return LibvirtError(call: call, code: Code(rawValue: error.code), domain: error.domain, message: message)
    }

    /// Gives the result of a call back, or throws its error when it is negative, which is how libvirt's calls fail.
    @discardableResult
    static func check(_ call: String, _ result: Int32) throws(LibvirtError) -> Int32 {
        guard result >= 0 else { throw last(call) }
        return result
    }

    /// Gives the result of a call back, or throws its error when it is NULL.
    static func check(_ call: String, _ result: OpaquePointer?) throws(LibvirtError) -> OpaquePointer {
        guard let result else { throw last(call) }
        return result
    }

    /// Takes over the string that a call returned, or throws its error when it is NULL.
    static func check(_ call: String, adopting text: UnsafeMutablePointer<CChar>?) throws(LibvirtError) -> String {
        guard let text else { throw last(call) }
        return String(adopting: text)
    }
}
