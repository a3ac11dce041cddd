// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "virt-fsck",
    products: [
        .executable(name: "virt-fsck", targets: ["virt-fsck"]),
        .library(name: "Repair", targets: ["Repair"]),
        .library(name: "Libvirt", targets: ["Libvirt"]),
        .library(name: "HostTools", targets: ["HostTools"]),
        // For the tests alone: preloaded into virt-fsck, never linked.
        .library(name: "KillSwitch", type: .dynamic, targets: ["KillSwitch"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CLibvirt", path: "Modules/CLibvirt", pkgConfig: "libvirt", providers: [.apt(["libvirt-dev"])]),
        .systemLibrary(
            name: "CLibxml2", path: "Modules/CLibxml2", pkgConfig: "libxml-2.0", providers: [.apt(["libxml2-dev"])]),
        .systemLibrary(
            name: "CBlkid", path: "Modules/CBlkid", pkgConfig: "blkid", providers: [.apt(["libblkid-dev"])]),
        .systemLibrary(
            name: "CDevMapper", path: "Modules/CDevMapper", pkgConfig: "devmapper",
            providers: [.apt(["libdevmapper-dev"])]),
        .systemLibrary(
            name: "CPNG", path: "Modules/CPNG", pkgConfig: "libpng16", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CLinux", path: "Modules/CLinux"),

        .target(name: "Libvirt", dependencies: ["CLibvirt"]),
        .target(name: "LibXML", dependencies: ["CLibxml2"]),
        .target(
            name: "HostTools",
            dependencies: [
                "CBlkid", "CDevMapper", "CLinux", "CPNG",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .target(
            name: "Repair",
            dependencies: [
                "Libvirt", "LibXML", "HostTools",
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .executableTarget(
            name: "virt-fsck",
            dependencies: [
                "Repair", "Libvirt", "HostTools",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]),

        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "virt-fsck", "Repair", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(name: "LibvirtTests", dependencies: ["Libvirt"]),
        .testTarget(name: "LibXMLTests", dependencies: ["LibXML"]),
        .testTarget(
            name: "HostToolsTests",
            dependencies: ["HostTools", "CLinux", "CPNG", .product(name: "SystemPackage", package: "swift-system")]),
        .testTarget(
            name: "RepairTests", dependencies: ["Repair", "Libvirt", "HostTools", "LibXML"], exclude: ["Consoles"]),
        .testTarget(
            name: "FuzzTests",
            dependencies: [
                "Repair", "Libvirt", "HostTools", .product(name: "SystemPackage", package: "swift-system"),
            ], exclude: ["Corpus"]),
        .testTarget(name: "IntegrationTests", dependencies: ["TestSupport", "Libvirt", "CLibvirt", "HostTools"]),
        .testTarget(name: "SystemTests", dependencies: ["TestSupport"], exclude: ["VM"]),
        .testTarget(name: "FaultTests", dependencies: ["TestSupport"]),
        .testTarget(name: "MutationTests", dependencies: ["TestSupport", "HostTools", "Repair"]),
        .target(name: "KillSwitch", path: "Tests/KillSwitch"),
        // What the tests with real parts share: images with real damage, a private libvirtd, virt-fsck as a user runs it.
        .target(
            name: "TestSupport",
            dependencies: [.product(name: "Subprocess", package: "swift-subprocess")], path: "Tests/TestSupport"),
    ],
    swiftLanguageModes: [.v6]
)

/// Targets that import no C library: pointers stop at the wrappers below them.
let memorySafe: Set = ["Repair", "virt-fsck"]

for target in package.targets where target.type != .system {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .treatAllWarnings(as: .error),
    ]
    if memorySafe.contains(target.name) {
        target.swiftSettings?.append(.strictMemorySafety())
    }
}
