import TestSupport
import Testing

/// Kills while a guest may run on its overlays: no write of a guest is lost that nobody gave up.
@Suite(
    .timeLimit(.minutes(120)),
    .enabled(if: TestHost.isUsable, "needs root, libvirt, QEMU, and nbd or FUSE"),
    .enabled(if: Tool.path(of: "xmllint") != nil, "needs xmllint (libxml2-utils)"),
    .enabled(if: KillSwitch.library != nil, "needs libKillSwitch.so beside virt-fsck: swift build --build-tests"),
    .disabled(if: Extent.isInVM, "runs outside of the VM, where it is quicker"))
enum TrialFaultTests {}
