import Testing

@testable import Repair

struct FstabTests {
    @Test(
        arguments: [
            ("UUID=1a-2b", .uuid("1a-2b")), ("UUID=\"1a-2b\"", .uuid("1a-2b")), ("uuid='1a'", .uuid("1a")),
            ("LABEL=root", .label("root")), ("LABEL=my\\040data", .label("my data")), ("LABEL=a=b", .label("a=b")),
            ("PARTUUID=9f-01", .partitionUUID("9f-01")), ("PARTLABEL=boot", .partitionLabel("boot")),
            ("/dev/disk/by-uuid/1a", .uuid("1a")), ("/dev/disk/by-label/root", .label("root")),
            ("/dev/disk/by-label/my\\134x20data", .other), ("/dev/disk/by-partuuid/9f-01", .partitionUUID("9f-01")),
            ("/dev/disk/by-id/virtio-1", .other),
            ("/dev/mapper/vg-lv", .logicalVolume(group: "vg", name: "lv")),
            ("/dev/mapper/my--vg-the--lv", .logicalVolume(group: "my-vg", name: "the-lv")),
            ("/dev/mapper/a---b", .logicalVolume(group: "a-", name: "b")), ("/dev/mapper/luks", .other),
            ("/dev/mapper/vg-lv-tmeta", .other), ("/dev/vg/lv", .logicalVolume(group: "vg", name: "lv")),
            ("/dev/md/0", .other), ("/dev/cciss/c0d0p1", .other), ("/dev/vda1", .other), ("/dev/", .other),
            ("tmpfs", .other), ("server:/share", .other), ("//server/share", .other), ("=", .other), ("\\04", .other),
        ] as [(String, Fstab.Source)]) func `what a line names is understood`(field: String, source: Fstab.Source)
    {
        #expect(Fstab("\(field) /mnt ext4").entries.map(\.source) == [source])
    }

    @Test func `comments, empty lines, tabs and options`() {
        let fstab = Fstab(
            "# UUID=1 / ext4\n\n   \t# x y\nUUID=2\t/\text4\tdefaults,nofail\t0 1\n  UUID=3  /with\\040space\nlonely\n"
                + "UUID=4 none swap sw 0 0\r\nUUID=5 /x ext4 rw,noauto\nUUID=6 /y ext4 nofailure\n")
        #expect(fstab.entries.map(\.specification) == ["UUID=2", "UUID=3", "UUID=4", "UUID=5", "UUID=6"])
        #expect(fstab.entries.map(\.mountPoint) == ["/", "/with space", "none", "/x", "/y"])
        #expect(fstab.entries.map(\.type) == ["ext4", "", "swap", "ext4", "ext4"])
        #expect(fstab.entries.map(\.isOptional) == [true, false, false, true, false])
        #expect(fstab.entry(mountedAt: "/")?.specification == "UUID=2")
    }

    @Test func `a file of a million lines is read in part`() {
        #expect(Fstab(String(repeating: "UUID=1 / ext4\n", count: 1_000_000)).entries.count == 1000)
    }
}
