import HostTools
import LibXML

/// The user that QEMU runs domains as.
struct QemuUser: Hashable {
    let userID: UInt32
    let groupID: UInt32

    /// Reads libvirt's capabilities (formatcaps: `secmodel` of model `dac`, whose `baselabel` is `+UID:+GID`); nil where they
    /// don't tell.
    init?(capabilities xml: String) {
        guard let document = try? Document(xml),
            let labels = try? document.values(of: "/capabilities/host/secmodel[model='dac']/baselabel"),
            let numbers = labels.first?.split(separator: ":").map({ UInt32($0.drop { $0 == "+" }) }),
            numbers.count == 2, let user = numbers[0], let group = numbers[1]
        else { return nil }
        userID = user
        groupID = group
    }

    init(userID: UInt32, groupID: UInt32) {
        self.userID = userID
        self.groupID = groupID
    }

    /// Whether the mode of a folder lets it through (path_resolution(7)).
    func canSearch(_ folder: FileStatus) -> Bool {
        let bit: UInt32 = folder.userID == userID ? 0o100 : folder.groupID == groupID ? 0o010 : 0o001
        return folder.mode & bit != 0
    }
}
