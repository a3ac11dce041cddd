import Foundation
import Glibc
import Libvirt
import Testing

@testable import HostTools
@testable import Repair

final class LocksTests {
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/locks-\(UUID().uuidString)"
        try Files.makeFolder(folder)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: folder)
    }

    private func domain(_ name: String) -> DomainID { DomainID(uuid: "uuid-of-\(name)", name: name) }

    /// A plan for a domain with one disk over these layers, which are made where they are missing.
    private func plan(_ name: String, _ layers: [String]) throws -> Plan {
        let paths = layers.map { "\(folder)/\($0)" }
        for path in paths where !Files.exists(path) { try Files.create(path) }
        var disk = Sample.diskInventory(Sample.disk(path: paths[0]))
        disk.chain = paths.map { Sample.image($0) }
        disk.status = try FileStatus(of: paths[0])
        var inventory = Sample.inventory([disk])
        inventory.summary = DomainSummary(
            id: domain(name), numericID: nil, state: .shutoff, reason: .crashed, isPersistent: true, isActive: false,
            autostart: false, hasManagedSave: false, snapshotCount: 0, checkpointCount: 0)
        let plan = Sample.plan(inventory)
        #expect(plan.refusals == [])
        return plan
    }

    private func locks(_ plan: Plan) throws -> RunLocks {
        let locks = try RunLocks(domain: plan.domain, folder: "\(folder)/locks")
        do {
            try locks.cover(plan)
        } catch {
            locks.release()
            throw error
        }
        return locks
    }

    /// What somebody is told who wants the locks of a plan.
    private func refusal(_ plan: Plan) -> String? {
        do {
            try locks(plan).release()
            return nil
        } catch {
            #expect((error as? DomainProblem)?.kind == .refusal)
            return String(describing: error)
        }
    }

    private var me: String { #"virt-fsck \(pid \#(getpid()), since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"# }

    @Test func `the second run on a domain is told who works on it`() throws {
        let plan = try plan("web", ["disk"])
        let first = try locks(plan)
        let told = try #require(refusal(plan))
        let expected = try Regex("web: \(me)\\) is working on it; wait until that has ended")
        #expect(told.wholeMatch(of: expected) != nil, "\(told)")
        first.release()
        #expect(refusal(plan) == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/locks").isEmpty)
    }

    @Test func `two domains over one image can't be worked on at once, whatever paths they name it by`() throws {
        let first = try locks(try plan("web", ["disk"]))
        defer { first.release() }
        symlink("\(folder)/disk", "\(folder)/link")
        let told = try #require(refusal(try plan("other", ["link"])))
        let expected = try Regex("vda: .*/link: \(me), for web\\) is working on it; wait until that has ended")
        #expect(told.wholeMatch(of: expected) != nil, "\(told)")
    }

    @Test func `two clones of one template are worked on at once, the template meanwhile not`() throws {
        let one = try locks(try plan("one", ["one", "template"]))
        let two = try locks(try plan("two", ["two", "template"]))
        let template = try plan("template", ["template"])
        let told = try #require(refusal(template))
        #expect(told.contains("for one) and virt-fsck (pid") && told.contains("for two) are working on it"), "\(told)")
        one.release()
        #expect(refusal(template) != nil)
        two.release()
        #expect(refusal(template) == nil)
    }

    @Test func `while a template is repaired, its clones are not`() throws {
        let template = try locks(try plan("template", ["template"]))
        defer { template.release() }
        let clone = try plan("one", ["one", "template"])
        #expect(try #require(refusal(clone)).contains("for template) is working on it"))
        // What was taken before that one is free again.
        let other = try locks(try plan("other", ["one"]))
        other.release()
    }

    @Test func `one that plans anew has its own locks already`() throws {
        let plan = try plan("web", ["disk"])
        let locks = try locks(plan)
        defer { locks.release() }
        try locks.cover(plan)
        #expect(RunLocks.objection(to: plan.domain, in: "\(folder)/locks") == nil)
        #expect(
            RunLocks.objection(toDisk: "vda", path: "\(folder)/disk", chain: [], in: "\(folder)/locks") == nil)
    }

    @Test func `300 disks are locked and released without waiting`() throws {
        var disks: [DiskInventory] = []
        for number in 0..<300 {
            let path = "\(folder)/\(number)"
            try Files.create(path)
            var disk = Sample.diskInventory(Sample.disk("sd\(number)", path: path))
            disk.status = try FileStatus(of: path)
            disks.append(disk)
        }
        let plan = Sample.plan(Sample.inventory(disks))
        let elapsed = try ContinuousClock().measure { try locks(plan).release() }
        // One that waited for each would take 30: a lock that somebody has is asked for again for 100 ms.
        #expect(elapsed < .seconds(25))
    }
}
