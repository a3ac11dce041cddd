import Testing

@testable import HostTools

/// What lvm 2.03.16 printed for a group with a bit of everything on two loop devices.
// swift-format-ignore
private let recorded = #"""
    {
    "report": [
    {
    "vg": [
    {"vg_uuid":"416vZK-o201-kfkQ-0eoP-BMCC-H79R-NSeoGy", "vg_name":"guest-vg", "vg_extent_size":"4194304", "vg_exported":"", "vg_partial":"", "vg_missing_pv_count":"0", "vg_systemid":"", "vg_lock_type":""}
    ]
    ,
    "pv": [
    {"pv_uuid":"1rMtER-M3vR-F2Xb-WcIl-B9ug-kcgi-67sfYH", "pv_name":"/dev/loop2", "pv_major":"7", "pv_minor":"2", "dev_size":"67108864", "pe_start":"1048576", "pv_size":"62914560", "pv_missing":"", "pv_in_use":"used"},
    {"pv_uuid":"POWDAV-MRfE-Gtj3-2cWf-49CM-jftc-H7qqDY", "pv_name":"/dev/loop3", "pv_major":"7", "pv_minor":"3", "dev_size":"67108864", "pe_start":"1048576", "pv_size":"62914560", "pv_missing":"", "pv_in_use":"used"}
    ]
    ,
    "lv": [
    {"lv_uuid":"z1pxTI-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "lv_name":"home", "lv_size":"8388608", "lv_layout":"linear", "lv_role":"public,origin,thickorigin", "lv_attr":"owi-XXs---", "origin":"", "pool_lv":""},
    {"lv_uuid":"cccccc-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "lv_name":"[lvol0_pmspare]", "lv_size":"4194304", "lv_layout":"linear", "lv_role":"private,pool,spare", "lv_attr":"ewi-XX----", "origin":"", "pool_lv":""},
    {"lv_uuid":"ffffff-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "lv_name":"mirror", "lv_size":"4194304", "lv_layout":"raid,raid1", "lv_role":"public", "lv_attr":"rwi-XXr-X-", "origin":"", "pool_lv":""},
    {"lv_uuid":"gggggg-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXW1", "lv_name":"[mirror_rimage_0]", "lv_size":"4194304", "lv_layout":"linear", "lv_role":"private,raid,image", "lv_attr":"Iwi-XXr-X-", "origin":"", "pool_lv":""},
    {"lv_uuid":"gggggg-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXW3", "lv_name":"[mirror_rimage_1]", "lv_size":"4194304", "lv_layout":"linear", "lv_role":"private,raid,image", "lv_attr":"Iwi-XXr-X-", "origin":"", "pool_lv":""},
    {"lv_uuid":"gggggg-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXW0", "lv_name":"[mirror_rmeta_0]", "lv_size":"4194304", "lv_layout":"linear", "lv_role":"private,raid,metadata", "lv_attr":"ewi-XXr-X-", "origin":"", "pool_lv":""},
    {"lv_uuid":"gggggg-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXW2", "lv_name":"[mirror_rmeta_1]", "lv_size":"4194304", "lv_layout":"linear", "lv_role":"private,raid,metadata", "lv_attr":"ewi-XXr-X-", "origin":"", "pool_lv":""},
    {"lv_uuid":"bbbbbb-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "lv_name":"pool", "lv_size":"8388608", "lv_layout":"thin,pool", "lv_role":"private", "lv_attr":"twi-XXtz--", "origin":"", "pool_lv":""},
    {"lv_uuid":"eeeeee-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "lv_name":"[pool_tdata]", "lv_size":"8388608", "lv_layout":"linear", "lv_role":"private,thin,pool,data", "lv_attr":"Twi-XX----", "origin":"", "pool_lv":""},
    {"lv_uuid":"dddddd-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "lv_name":"[pool_tmeta]", "lv_size":"4194304", "lv_layout":"linear", "lv_role":"private,thin,pool,metadata", "lv_attr":"ewi-XX----", "origin":"", "pool_lv":""},
    {"lv_uuid":"riBJvV-qOT3-IAxM-Vn8s-Xvcn-Cetx-iSnJh7", "lv_name":"root", "lv_size":"16777216", "lv_layout":"linear", "lv_role":"public", "lv_attr":"-wi-XX----", "origin":"", "pool_lv":""},
    {"lv_uuid":"hhhhhh-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "lv_name":"snap", "lv_size":"4194304", "lv_layout":"linear", "lv_role":"public,snapshot,thicksnapshot", "lv_attr":"swi-XXs---", "origin":"home", "pool_lv":""},
    {"lv_uuid":"beqSsY-0ran-IoNn-hUAc-8uMP-gN4V-DeLXGT", "lv_name":"stripe", "lv_size":"16777216", "lv_layout":"striped", "lv_role":"public", "lv_attr":"-wi-XX----", "origin":"", "pool_lv":""},
    {"lv_uuid":"aaaaaa-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "lv_name":"thin", "lv_size":"33554432", "lv_layout":"thin,sparse", "lv_role":"public", "lv_attr":"Vwi-XXtz--", "origin":"", "pool_lv":"pool"}
    ]
    ,
    "pvseg": [
    ]
    ,
    "seg": [
    {"lv_uuid":"aaaaaa-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "segtype":"thin", "seg_start":"0", "seg_size":"33554432", "stripe_size":"0", "devices":""},
    {"lv_uuid":"bbbbbb-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "segtype":"thin-pool", "seg_start":"0", "seg_size":"8388608", "stripe_size":"0", "devices":"pool_tdata(0)"},
    {"lv_uuid":"beqSsY-0ran-IoNn-hUAc-8uMP-gN4V-DeLXGT", "segtype":"striped", "seg_start":"0", "seg_size":"16777216", "stripe_size":"65536", "devices":"/dev/loop2(4),/dev/loop3(2)"},
    {"lv_uuid":"cccccc-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "segtype":"linear", "seg_start":"0", "seg_size":"4194304", "stripe_size":"0", "devices":"/dev/loop3(4)"},
    {"lv_uuid":"dddddd-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "segtype":"linear", "seg_start":"0", "seg_size":"4194304", "stripe_size":"0", "devices":"/dev/loop3(5)"},
    {"lv_uuid":"eeeeee-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "segtype":"linear", "seg_start":"0", "seg_size":"8388608", "stripe_size":"0", "devices":"/dev/loop3(6)"},
    {"lv_uuid":"ffffff-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "segtype":"raid1", "seg_start":"0", "seg_size":"4194304", "stripe_size":"0", "devices":"mirror_rimage_0(0),mirror_rimage_1(0)"},
    {"lv_uuid":"gggggg-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXW0", "segtype":"linear", "seg_start":"0", "seg_size":"4194304", "stripe_size":"0", "devices":"/dev/loop2(6)"},
    {"lv_uuid":"gggggg-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXW1", "segtype":"linear", "seg_start":"0", "seg_size":"4194304", "stripe_size":"0", "devices":"/dev/loop2(7)"},
    {"lv_uuid":"gggggg-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXW2", "segtype":"linear", "seg_start":"0", "seg_size":"4194304", "stripe_size":"0", "devices":"/dev/loop3(8)"},
    {"lv_uuid":"gggggg-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXW3", "segtype":"linear", "seg_start":"0", "seg_size":"4194304", "stripe_size":"0", "devices":"/dev/loop3(9)"},
    {"lv_uuid":"hhhhhh-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "segtype":"linear", "seg_start":"0", "seg_size":"4194304", "stripe_size":"0", "devices":"/dev/loop2(8)"},
    {"lv_uuid":"riBJvV-qOT3-IAxM-Vn8s-Xvcn-Cetx-iSnJh7", "segtype":"linear", "seg_start":"0", "seg_size":"8388608", "stripe_size":"0", "devices":"/dev/loop2(0)"},
    {"lv_uuid":"riBJvV-qOT3-IAxM-Vn8s-Xvcn-Cetx-iSnJh7", "segtype":"linear", "seg_start":"8388608", "seg_size":"8388608", "stripe_size":"0", "devices":"/dev/loop3(0)"},
    {"lv_uuid":"z1pxTI-aiE4-7Ko3-qqWX-sgSh-kWtT-aEbXWw", "segtype":"linear", "seg_start":"0", "seg_size":"8388608", "stripe_size":"0", "devices":"/dev/loop2(2)"}
    ]
    }
    ]
    }
    """#

private let devices = ["/dev/loop2", "/dev/loop3"]
private let extent: UInt64 = 4 << 20
private let dataStart: UInt64 = 1 << 20

@Suite struct LVMReportParsingTests {
    private func group(_ text: String = recorded) throws -> VolumeGroup {
        let report = try LVMReport(parsing: text, devices: devices)
        return try #require(report.volumeGroups.first)
    }

    private func volume(_ name: String, _ text: String = recorded) throws -> LogicalVolume {
        try #require(try group(text).logicalVolumes.first { $0.name == name })
    }

    @Test func `a recorded report becomes a volume group`() throws {
        let group = try group()
        #expect(group.name == "guest-vg")
        #expect(group.uuid == "416vZK-o201-kfkQ-0eoP-BMCC-H79R-NSeoGy")
        #expect(group.extentSize == extent)
        #expect(group.missingPhysicalVolumes == 0)
        #expect(!group.isPartial)
        #expect(!group.isExported)
        #expect(!group.isAmbiguous)
        #expect(group.systemID == nil)
        #expect(group.lockType == nil)
        #expect(
            group.physicalVolumes == [
                PhysicalVolume(
                    uuid: "1rMtER-M3vR-F2Xb-WcIl-B9ug-kcgi-67sfYH", device: "/dev/loop2", dataStart: dataStart,
                    size: 60 << 20, deviceSize: 64 << 20),
                PhysicalVolume(
                    uuid: "POWDAV-MRfE-Gtj3-2cWf-49CM-jftc-H7qqDY", device: "/dev/loop3", dataStart: dataStart,
                    size: 60 << 20, deviceSize: 64 << 20),
            ])
        #expect(group.logicalVolumes.count == 14)
    }

    @Test func `a volume of two segments keeps their order and places`() throws {
        let root = try volume("root")
        #expect(root.kind == .plain)
        #expect(root.defect == nil)
        #expect(
            root.segments == [
                Segment(
                    type: "linear", start: 0, length: 2 * extent, areas: [.physicalVolume(index: 0, offset: dataStart)]),
                Segment(
                    type: "linear", start: 2 * extent, length: 2 * extent,
                    areas: [.physicalVolume(index: 1, offset: dataStart)]),
            ])
    }

    @Test func `stripes keep their order and size`() throws {
        let stripe = try volume("stripe")
        #expect(stripe.kind == .plain)
        #expect(stripe.defect == nil)
        #expect(
            stripe.segments == [
                Segment(
                    type: "striped", start: 0, length: 4 * extent, stripeSize: 64 << 10,
                    areas: [
                        .physicalVolume(index: 0, offset: dataStart + 4 * extent),
                        .physicalVolume(index: 1, offset: dataStart + 2 * extent),
                    ])
            ])
    }

    @Test(
        arguments: [
            ("home", .snapshotOrigin), ("snap", .snapshot), ("thin", .thin), ("pool", .pool), ("mirror", .other),
            ("mirror_rimage_0", .hidden), ("pool_tdata", .hidden), ("pool_tmeta", .hidden), ("lvol0_pmspare", .hidden),
        ] as [(String, LogicalVolume.Kind)])
    func `each volume says what can be done with it`(name: String, kind: LogicalVolume.Kind) throws {
        #expect(try volume(name).kind == kind)
    }

    @Test func `the origin of thin volumes outside of their pool is one as well`() throws {
        let text = recorded.replacing("public,origin,thickorigin", with: "public,origin,extthinorigin")
        #expect(try volume("home", text).kind == .snapshotOrigin)
    }

    @Test func `volumes in volumes are told from devices`() throws {
        #expect(
            try volume("mirror").segments.first?.areas == [
                .logicalVolume(name: "mirror_rimage_0", offset: 0), .logicalVolume(name: "mirror_rimage_1", offset: 0),
            ])
        #expect(try volume("thin").pool == "pool")
        #expect(try volume("snap").origin == "home")
    }

    @Test func `the path that was given is reported, not lvm's`() throws {
        let report = try LVMReport(
            parsing: recorded, devices: ["/run/x/pv0", "/run/x/pv1"],
            numbers: [
                DeviceNumber(major: 7, minor: 2): "/run/x/pv0", DeviceNumber(major: 7, minor: 3): "/run/x/pv1",
            ])
        #expect(report.volumeGroups.first?.physicalVolumes.map(\.device) == ["/run/x/pv0", "/run/x/pv1"])
        #expect(report.volumeGroups.first?.logicalVolumes.allSatisfy { $0.defect == nil } == true)
    }

    @Test func `a device that was not given is refused, for a guest can forge it`() {
        #expect(throws: LVMError.unreadable(reason: "it has a device that was not given: /dev/loop3")) {
            try LVMReport(parsing: recorded, devices: ["/dev/loop2"])
        }
    }

    @Test func `the segments of a missing physical volume are found`() throws {
        let sizes = #""pe_start":"1048576", "pv_size":"62914560", "#
        let text = recorded.replacing("/dev/loop3(", with: "[unknown](")
            .replacing(#""vg_missing_pv_count":"0""#, with: #""vg_missing_pv_count":"1""#)
            .replacing(
                #""/dev/loop3", "pv_major":"7", "pv_minor":"3", "dev_size":"67108864", \#(sizes)"pv_missing":"""#,
                with: #""[unknown]", "pv_major":"-1", "pv_minor":"-1", "dev_size":"0", \#(sizes)"pv_missing":"missing""#
            )
        let group = try group(text)
        #expect(group.missingPhysicalVolumes == 1)
        #expect(group.physicalVolumes.map(\.device) == ["/dev/loop2", nil])
        #expect(group.physicalVolumes.last?.deviceSize == nil)
        #expect(try volume("root", text).defect == .missingPhysicalVolume)
        #expect(try volume("stripe", text).defect == .missingPhysicalVolume)
        #expect(try volume("home", text).defect == nil)
        #expect(
            try volume("root", text).segments.last?.areas == [.physicalVolume(index: 1, offset: dataStart)])
    }

    @Test(
        arguments: [
            // The segment starts later than the one before it ends.
            (#""seg_start":"8388608""#, #""seg_start":"8388609""#, .segmentsDoNotFit),
            (#""16777216", "lv_layout":"linear""#, #""9", "lv_layout":"linear""#, .segmentsDoNotFit),
            ("/dev/loop3(0)", "/dev/loop3(15)", .pastEndOfDevice),
            ("/dev/loop3(0)", "/dev/loop3(18446744073709551615)", .unreadable),
            ("/dev/loop3(0)", "/dev/loop3(-1)", .unreadable),
            ("/dev/loop3(0)", "/dev/loop3(0", .unreadable),
            ("/dev/loop3(0)", "/dev/loop3(0),", .unreadable),
            ("/dev/loop3(0)", "/dev/loop3(0)x", .unreadable),
            ("/dev/loop3(0)", "other(0)", .unreadable),
            (#""devices":"/dev/loop3(0)""#, #""devices":"""#, .segmentsDoNotFit),
            (#""/dev/loop3(0)""#, #""/dev/loop3(0),/dev/loop2(0)""#, .segmentsDoNotFit),
        ] as [(String, String, LogicalVolume.Defect)])
    func `a description that can't be true is a defect of its volume`(
        from: String, into: String, defect: LogicalVolume.Defect
    ) throws {
        let text = recorded.replacing(from, with: into)
        #expect(text != recorded)
        #expect(try volume("root", text).defect == defect)
    }

    @Test(arguments: ["", "{}", "[]", "  Volume group not found", recorded.replacing("]", with: "")])
    func `anything that is no report is an error`(text: String) {
        #expect(throws: LVMError.self) { try LVMReport(parsing: text, devices: devices) }
    }

    @Test(
        arguments: [
            (#""vg_extent_size":"4194304""#, #""vg_extent_size":"4m""#),
            (#""lv_size":"33554432""#, #""lv_size":"-1""#),
            (#""pe_start":"1048576""#, #""pe_start":"99999999999999999999""#),
        ])
    func `numbers that are none are an error`(from: String, into: String) {
        #expect(throws: LVMError.self) {
            try LVMReport(parsing: recorded.replacing(from, with: into), devices: devices)
        }
    }

    @Test func `sizes that overflow are defects, not crashes`() throws {
        let text =
            recorded
            .replacing(#""vg_extent_size":"4194304""#, with: #""vg_extent_size":"18446744073709551615""#)
            .replacing(#""pe_start":"1048576""#, with: #""pe_start":"18446744073709551615""#)
        #expect(try volume("root", text).defect == .pastEndOfDevice)
        #expect(try volume("stripe", text).defect == .unreadable)
    }

    @Test(arguments: [
        (#""pe_start":"1048576""#, #""pe_start":"1048577""#),
        (#""vg_extent_size":"4194304""#, #""vg_extent_size":"4194305""#),
    ])
    func `what is not in whole sectors is a defect`(from: String, into: String) throws {
        #expect(try volume("home", recorded.replacing(from, with: into)).defect == .segmentsDoNotFit)
    }

    @Test(arguments: [101, 512, 5000]) func `a report that nests too deep is an error, not a crash`(depth: Int) {
        let nested = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(throws: LVMError.self) { try LVMReport(parsing: #"{"report":"# + nested + "}", devices: devices) }
    }

    @Test func `names are text, whatever is in them`() throws {
        let name = #"ro\"ot,x(3)--é"# + "\u{1B}[31m"
        let text = recorded.replacing(#""lv_name":"root""#, with: #""lv_name":""# + name + #"""#)
        #expect(try volume("ro\"ot,x(3)--é [31m", text).defect == nil)
    }

    @Test func `no volume groups and a physical volume without group are fine`() throws {
        #expect(try LVMReport(parsing: #"{"report":[]}"#, devices: []) == LVMReport())
        let text = #"""
            {"report":[{"pv":[{"pv_uuid":"u","pv_name":"/dev/loop2","pv_major":"7","pv_minor":"2","dev_size":"8388608",
            "pe_start":"1048576","pv_size":"8388608","pv_missing":"","pv_in_use":"used"}],"pvseg":[]}]}
            """#
        let report = try LVMReport(parsing: text, devices: devices)
        #expect(report.volumeGroups.isEmpty)
        #expect(report.unassignedPhysicalVolumes.map(\.device) == ["/dev/loop2"])
    }

    @Test func `devices that lvm left out are clones, unreadable or nothing`() throws {
        var report = try LVMReport(parsing: recorded, devices: devices)
        let uuids = ["/dev/clone": "POWDAV-MRfE-Gtj3-2cWf-49CM-jftc-H7qqDY", "/dev/broken": "other"]
        report.account(for: devices + ["/dev/clone", "/dev/broken", "/dev/empty"]) { uuids[$0] }
        let group = try #require(report.volumeGroups.first)
        #expect(group.isAmbiguous)
        #expect(group.physicalVolumes.map(\.otherDevices) == [[], ["/dev/clone"]])
        #expect(report.unreadableDevices == ["/dev/broken"])
        #expect(report.devicesWithoutVolume == ["/dev/empty"])
    }
}

@Suite struct LVMCommandTests {
    @Test func `lvm is shown the given devices only, and can't write or activate`() throws {
        let command = try LVM.command(for: ["/dev/virt-fsck/a/pv0", "/dev/virt-fsck/a/pv1", "/dev/loop3"])
        #expect(command.program == "lvm")
        #expect(command.arguments.first == "fullreport")
        let text = command.description
        #expect(text.contains("--devices /dev/virt-fsck/a/pv0,/dev/virt-fsck/a/pv1,/dev/loop3 "))
        #expect(text.contains(#"scan=["/dev/virt-fsck/a","/dev"]"#))
        for word in ["--readonly", "--nolocking", "--driverloaded n", "backup=0", "archive=0", #"hints="none""#] {
            #expect(text.contains(word))
        }
    }

    @Test(arguments: ["loop0", "", "/dev/a,b", "/dev/a\"b", "/dev/a\\b", "/dev/a\nb", "/dev/a'b"])
    func `a path that lvm would take for something else is refused`(path: String) {
        #expect(throws: LVMError.invalidDevice(path)) { try LVM.command(for: [path]) }
    }

    @Test func `nothing is run without devices`() async throws {
        #expect(
            try await LVM(runner: HostCommandRunner(folders: []), sandbox: Sandbox(.bubblewrap), folder: "/").report(
                devices: []) == LVMReport())
    }

    @Test func `a missing lvm names its package`() async {
        await #expect(throws: LVMError.command(.notFound(program: "lvm", package: "lvm2"))) {
            try await LVM(runner: HostCommandRunner(folders: []), sandbox: Sandbox(.bubblewrap), folder: "/").report(
                devices: ["/dev/loop0"])
        }
    }
}
