import Database
import Domain
import Foundation
import Logging
import Schemas
import Testing

@testable import Directory

/// Who administers the server, asked of a real directory where this machine has one.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: Slapd.program)), .timeLimit(.minutes(2))) struct AdminTests {
    @Test func whoIsInTheGroupOfAdminsAdministersAndNobodyElse() async throws {
        let (alice, bob, nobody) = (UserID(rawValue: 1), UserID(rawValue: 2), UserID(rawValue: 3))
        let slapd = try Slapd(people: ["alice", "bob"], admin: "alice")
        defer { slapd.end() }
        var settings = try slapd.settings
        try await slapd.answers()
        settings.adminGroup = "cn=admins,dc=test"
        let database = try SQLiteDatabase(path: slapd.folder.appending(path: "apus.sqlite").path)
        try await database.write { try Schema.create($0, .sqlite) }
        let directory = Directory(
            settings, logger: Logger(label: "tests"), kept: KeptListings(in: database, of: settings) { Timestamp(rawValue: 0) },
            name: { user in [alice: "Alice", bob: "bob"][user].map { CanonicalName($0) } }, tellOut: { _ in })
        for (user, isAdmin) in [(alice, true), (bob, false), (nobody, false)] { #expect(try await directory.isAdmin(user) == isAdmin) }
    }
}

/// A directory with some people and a group.
private final class Slapd {
    static let program = "/usr/sbin/slapd"

    let folder = FileManager.default.temporaryDirectory.appending(path: "apus-slapd.\(UUID().uuidString)")
    private let url = "ldap://127.0.0.1:\(Int.random(in: 20_000..<60_000))"
    private let process = Process()

    init(people: [String], admin: String) throws {
        try FileManager.default.createDirectory(at: folder.appending(path: "data"), withIntermediateDirectories: true)
        let schemas = ["core", "cosine", "inetorgperson", "nis"].map { "include /etc/ldap/schema/\($0).schema\n" }.joined()
        let database = "database mdb\nsuffix dc=test\ndirectory \(folder.path)/data\nmaxsize 10485760\naccess to * by * read\n"
        let (configuration, content) = (folder.appending(path: "slapd.conf"), folder.appending(path: "content.ldif"))
        try Data((schemas + "modulepath /usr/lib/ldap\nmoduleload back_mdb\n" + database).utf8).write(to: configuration)
        let entries =
            ["dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test"]
            + people.map { "dn: uid=\($0),dc=test\nobjectClass: inetOrgPerson\nuid: \($0)\ncn: \($0)\nsn: \($0)" }
            + ["dn: cn=admins,dc=test\nobjectClass: posixGroup\ngidNumber: 1\nmemberUid: \(admin)"]
        try Data(entries.joined(separator: "\n\n").utf8).write(to: content)
        let adding = try Process.run(URL(filePath: "/usr/sbin/slapadd"), arguments: ["-f", configuration.path, "-l", content.path])
        adding.waitUntilExit()
        try #require(adding.terminationStatus == 0)
        process.executableURL = URL(filePath: Self.program)
        process.arguments = ["-d", "0", "-f", configuration.path, "-h", url + "/"]
        // Whoever reads what tests say would wait for it.
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    /// For whoever asks it.
    var settings: DirectorySettings {
        get throws {
            DirectorySettings(
                servers: [try #require(DirectoryAddress(url))], base: "dc=test", filter: try #require(DirectoryFilter("(uid=%s)")))
        }
    }

    /// Waits until it does.
    func answers() async throws {
        while try await settings.examine().contains(where: { $0.fault != nil }) {
            try #require(process.isRunning)
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// At once: a test's thread has SIGTERM blocked, and so has what it starts.
    func end() { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    deinit {
        end()
        do { try FileManager.default.removeItem(at: folder) } catch { Issue.record(error) }
    }
}
