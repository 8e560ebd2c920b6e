import Foundation
import Redis
import Synchronization
import Testing

@testable import Doctor

@Suite("What the doctor makes of what it sees") struct JudgingTests {
    @Test(
        "a file system is of this machine, of a network, of memory, or a container's",
        arguments: [
            (0x6969, nil, "NFS", FileSystem.Kind.network), (0xFF53_4D42, "cifs", "CIFS", .network), (0x0102_1997, "9p", "9p", .network),
            (0x0102_1994, "tmpfs", "tmpfs", .memory), (0x794C_7630, "overlay", "overlayfs", .layer), (0xEF53, "ext4", "ext4", .local),
            (0x6573_5546, "fuse.sshfs", "fuse.sshfs", .network), (0x6573_5546, "fuseblk", "fuseblk", .local),
            (0x6573_5546, "virtiofs", "virtiofs", .network), (0x9123_683E, nil, "a disk", .local),
        ] as [(UInt32, String?, String, FileSystem.Kind)])
    func fileSystems(number: UInt32, mountType: String?, name: String, kind: FileSystem.Kind) {
        let found = FileSystem(number: number, mountType: mountType)
        #expect(found.name == name && found.kind == kind)
    }

    @Test("the deepest and newest mount above a folder is its own")
    func mounts() {
        let mounts = """
            21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            30 21 0:30 / /srv rw - nfs4 host:/srv rw
            31 30 0:31 / /srv/my\\040data rw master:2 shared:3 - fuse.sshfs host: rw
            32 30 0:32 / /srv rw - xfs /dev/sdb rw
            """
        let found = ["/home/x", "/srv/x", "/srv/my data/x", "/srv/my data", "/srvx"].map { FileSystem.mountType(of: $0, in: mounts) }
        #expect(found == ["ext4", "xfs", "fuse.sshfs", "fuse.sshfs", "ext4"])
    }

    @Test("PostgreSQL is too old below 13")
    func postgres() {
        #expect(VersionChecks.finding(aboutPostgres: 120_022)?.result == .failure)
        #expect(VersionChecks.finding(aboutPostgres: 130_000) == nil)
    }

    @Test("another version that serves too is told")
    func versions() {
        #expect(VersionChecks.finding(about: ["1", "1"], beside: "1").result == .ok)
        #expect(VersionChecks.finding(about: [], beside: "1").result == .ok)
        #expect(VersionChecks.finding(about: ["1", "2"], beside: "1").result == .warning)
    }

    @Test("a Redis is a primary that takes writes and keeps tickets")
    func redis() {
        #expect(Inside.finding(RedisFacts(role: "master")).result == .ok)
        #expect(Inside.finding(RedisFacts(role: "slave")).result == .failure)
        #expect(Inside.finding(RedisFacts(role: "master", refusal: "MISCONF no disk")).result == .failure)
        #expect(Inside.finding(RedisFacts(role: "master", policy: "allkeys-lru", maximumBytes: 1)).result == .warning)
        #expect(Inside.finding(RedisFacts(role: "master", policy: "allkeys-lru", maximumBytes: 0)).result == .ok)
        #expect(Inside.finding(RedisFacts(role: "master", policy: "noeviction", maximumBytes: 1)).result == .ok)
    }

    @Test("what is good for a fortnight is good; what has ended has failed")
    func expiry() {
        let now = Date(timeIntervalSince1970: 1_800_000_000)
        let results = [30, 14, 13, 0, -1].map { days in
            Inside.expiry(now.addingTimeInterval(Double(days) * 86_400 + 1), of: "it", mend: "renew", now: now).result
        }
        #expect(results == [.ok, .ok, .warning, .warning, .failure])
    }

    @Test("a check that does not end fails within its limit")
    func limit() async {
        let endless = Check(99, "Endless", limit: .milliseconds(1)) {
            await withTaskCancellationHandler {
                while !Task.isCancelled { await Task.yield() }
                return .ok("never")
            } onCancel: {
            }
        }
        #expect(await endless.look().result == .failure)
    }

    @Test("what can be mended is mended only when it is wished, and looked at again")
    func mending() async throws {
        let isMended = Mended()
        let check = Check(98, "Mendable") {
            isMended.value
                ? .ok("well")
                : .warning(
                    "not well", means: "", mend: "",
                    fix: {
                        isMended.value = true
                        return "done"
                    })
        }
        let before = try await Doctor.examine([check], mends: false)
        #expect(before.map(\.finding.result) == [.warning] && before.map(\.mended) == [nil])
        let after = try await Doctor.examine([check], mends: true)
        #expect(after.map(\.finding.result) == [.ok] && after.map(\.mended) == ["done"])
    }

    @Test("what only waits runs beside the others, and is told in its turn")
    func order() async throws {
        let started = AsyncStream.makeStream(of: Void.self)
        let checks = [
            Check(1, "Waits", onlyWaits: true) {
                for await _ in started.stream { break }
                return .ok("woken")
            },
            Check(2, "Wakes") {
                started.continuation.yield()
                return .ok("has woken")
            },
        ]
        #expect(try await Doctor.examine(checks, mends: false).map(\.number) == [1, 2])
    }
}

/// Something that changes.
private final class Mended: Sendable {
    private let state = Mutex(false)
    var value: Bool {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
