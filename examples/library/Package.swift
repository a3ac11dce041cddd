// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "check-domain",
    dependencies: [.package(name: "virt-fsck", path: "../..")],
    targets: [
        .executableTarget(
            name: "check-domain",
            dependencies: [
                .product(name: "Repair", package: "virt-fsck"),
                .product(name: "Libvirt", package: "virt-fsck"),
                .product(name: "HostTools", package: "virt-fsck"),
            ])
    ]
)
