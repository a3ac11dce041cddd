import LibXML
import Testing

@testable import Repair

struct LibvirtConfigurationTests {
    @Test(arguments: [
        ("kvm", "/nonexistent/qemu", "its emulator /nonexistent/qemu is missing; install it"), ("kvm", "/bin/sh", nil),
        ("kvm", "", nil), ("test", "/nonexistent/qemu", nil),
    ])
    func `libvirt defines no domain whose QEMU is gone`(_ type: String, _ emulator: String, _ words: String?) throws {
        let devices = emulator.isEmpty ? "" : "<emulator>\(emulator)</emulator>"
        let domain = try DomainDescription(
            xml: "<domain type='\(type)'><name>x</name><devices>\(devices)</devices></domain>")
        let problem = LibvirtConfiguration.writeProblem(of: domain, named: "no-such-domain")
        #expect(problem?.hasPrefix(words ?? "") == (words != nil ? true : nil), "\(problem ?? "")")
    }
}
