extension Diagnosis {
    /// What a system's root tells.
    func root(_ result: VolumeResult, _ facts: VolumeFacts) -> [String] {
        let name = result.volume.name
        var findings: [String] = []
        var fstab = Fstab("")
        switch facts.fstab {
        case .present(let text): fstab = Fstab(text)
        case .missing: findings.append("\(name): has no /etc/fstab")
        case nil: break
        }
        findings += unknown(in: fstab, of: name)
        if facts.initialProcess == .missing, fstab.entry(mountedAt: "/usr") == nil, !facts.isDeployed {
            findings.append("\(name): /sbin/init is missing")
        }
        return findings + boot(name, facts, fstab)
    }

    /// Lines of fstab that name what is on no volume.
    private func unknown(in fstab: Fstab, of name: String) -> [String] {
        let who = isComplete ? "no volume of this domain has" : "no volume has that could be looked into"
        return fstab.entries.compactMap { entry in
            guard !entry.isOptional, place(of: entry.source) == .nowhere else { return nil }
            let purpose = entry.type == "swap" ? "swap" : entry.mountPoint
            return "\(name): /etc/fstab names \(entry.specification) for \(purpose), which \(who)"
        }
    }

    /// The kernel, its initrd and the boot loader's files: in /boot of this root, or on the volume that is mounted there.
    private func boot(_ name: String, _ facts: VolumeFacts, _ fstab: Fstab) -> [String] {
        guard method != .kernel, !facts.isDeployed else { return [] }
        var holder = name
        var folder = "/boot"
        var entries: [VolumeFacts.Entry]
        if let entry = fstab.entry(mountedAt: "/boot") {
            guard case .volumes(let found) = place(of: entry.source), found.count == 1,
                let mounted = found[0].facts
            else { return [] }
            (holder, folder, entries) = (found[0].volume.name, "it is /boot, and", mounted.root)
        } else {
            switch facts.boot {
            case .present(let found): entries = found
            case .missing: entries = []
            case nil: return []
            }
        }
        // Without an fstab to say so, it may be any other volume; and where it can't be read, it may be there.
        if facts.fstab == .missing, volumes.contains(where: { $0.volume.name != name && $0.mayHoldKernel }) {
            return []
        }
        guard !entries.contains(where: \.isLoaderSpecification) else { return [] }
        let kernels = entries.filter(\.isKernel)
        let initrds = entries.filter(\.isInitrd)
        var findings: [String] = []
        if kernels.isEmpty { findings.append("\(holder): \(folder) has no kernel (vmlinuz-…)") }
        if !kernels.isEmpty, initrds.isEmpty {
            findings.append("\(holder): \(folder) has a kernel, but no initrd (initrd.img-…, initramfs-…)")
        }
        for entry in kernels + initrds where entry.isEmptyFile {
            findings.append("\(holder): \(entry.name) in /boot is empty")
        }
        if method == .bios, !entries.contains(where: \.isBootLoader) {
            findings.append("\(holder): \(folder) has no boot loader's files (grub, grub2, extlinux, syslinux)")
        }
        return findings
    }

    /// Nothing that looks like a system, on disks that were read to the end.
    var missingRoot: [String] {
        let filesystems = volumes.filter { $0.outcome != .skipped }
        guard isComplete, roots.isEmpty, !filesystems.isEmpty,
            filesystems.allSatisfy({ $0.facts != nil || $0.volume.type == "vfat" }),
            filesystems.contains(where: { $0.facts != nil })
        else { return [] }
        return ["no volume has a folder /etc: the guest's root is lost, or lies in pieces in a lost+found"]
    }
}

extension VolumeResult {
    /// Whether it may be what is mounted at /boot.
    fileprivate var mayHoldKernel: Bool {
        outcome != .skipped && (facts?.root.contains(where: \.isKernel) ?? true)
    }
}

extension VolumeFacts {
    /// Whether the system is laid out in a way of its own (OSTree, NixOS).
    fileprivate var isDeployed: Bool { ["ostree", "sysroot", "nix", "gnu"].contains(where: has) }
}

extension VolumeFacts.Entry {
    /// Distributions' names: Debian, Fedora and Arch; older Gentoo; arm64.
    fileprivate var isKernel: Bool {
        ["vmlinuz", "vmlinux", "kernel-", "bzImage", "zImage", "Image"].contains { name.hasPrefix($0) }
    }

    /// Distributions' names: Debian; Fedora, Arch and Alpine; SUSE.
    fileprivate var isInitrd: Bool {
        ["initrd", "initramfs"].contains { name.hasPrefix($0) }
    }

    /// A folder or file of a boot loader: GRUB, SYSLINUX, LILO's map.
    fileprivate var isBootLoader: Bool {
        ["grub", "grub2", "extlinux", "syslinux", "extlinux.conf", "ldlinux.sys", "map"].contains(name)
    }

    /// A folder of the Boot Loader Specification, named by the machine: kernels are in it.
    fileprivate var isLoaderSpecification: Bool {
        name == "EFI" || name.utf8.count == 32 && name.allSatisfy(\.isHexDigit)
    }
}
