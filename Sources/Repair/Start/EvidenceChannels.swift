import LibXML

/// How a domain's guest can tell that it is up, by the domain's XML. Pure.
struct EvidenceChannels: Hashable, Sendable {
    /// Whether it has a console that libvirt can read.
    var hasConsole: Bool
    /// Whether it has a channel for a guest agent.
    var hasAgent: Bool
    /// Whether it has a screen.
    var hasScreen: Bool

    init(xml: String) throws(XMLError) {
        let document = try Document(xml)
        hasConsole = try document.matches("/domain/devices/*[self::console or self::serial][@type='pty']")
        hasAgent = try document.matches("/domain/devices/channel/target[@name='org.qemu.guest_agent.0']")
        hasScreen = try document.matches("/domain/devices/graphics")
    }

    /// Whether the domain of an XML has a channel for a guest agent; not where it makes no sense.
    static func hasAgent(_ xml: String) -> Bool { (try? EvidenceChannels(xml: xml).hasAgent) ?? false }

    /// What would let the guest tell, for somebody whose guest told nothing.
    var advice: [String] {
        var advice: [String] = []
        if !hasConsole {
            advice.append(
                "it has no console to read: add <serial type='pty'/>, and console=ttyS0 to the guest's kernel")
        }
        if !hasAgent {
            advice.append(
                "it has no guest agent: add <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/>"
                    + "</channel>, and install qemu-guest-agent in the guest")
        }
        return advice
    }
}
