internal import CLibvirt
internal import Dispatch
internal import Glibc

/// What libvirt wants once per process, before the first connection.
enum EventLoop {
    /// Why the start-up failed; nil when it did not. The first use starts it up.
    ///
    /// `virEventRegisterDefaultImpl` must come before the first `virConnectOpen` (its documentation): a connection opened
    /// earlier has neither events nor keepalive.
    static let startUpFailure: LibvirtError? = {
        // A program that has a handler of its own keeps it; SIG_DFL is nil.
        if let handler = signal(SIGPIPE, SIG_IGN) { signal(SIGPIPE, handler) }
        guard virInitialize() == 0 else { return .last("virInitialize") }
        // Without a function of its own libvirt prints every error to standard error.
        virSetErrorFunc(nil) { _, _ in }
        guard virEventRegisterDefaultImpl() == 0 else { return .last("virEventRegisterDefaultImpl") }
        queue.async {
            while true {
                // An iteration that fails (poll was refused memory) must neither end the loop nor spin.
                if virEventRunDefaultImpl() < 0 { usleep(100_000) }
            }
        }
        return nil
    }()

    /// Its one block never returns, so the thread under it is the event loop's.
    private static let queue = DispatchQueue(label: "libvirt.events")
}
