import Domain
import Foundation
import Testing

@testable import Server

@Suite("An archive of a folder") struct ArchiveTests {
    @Test("has all files, whatever their names' length and their own, as a program that knows tar reads it")
    func reads() throws {
        let place = FileManager.default.temporaryDirectory.appending(path: "archive-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: place) }
        let long = String(repeating: "a", count: 200)
        let names = [
            "short", "chunks/\(long)/\(String(repeating: "b", count: 199))", "chunks/x/\(String(repeating: "c", count: 88))", "empty",
        ]
        let contents = [1, 512, 3_000_000, 0].enumerated().map { Data(repeating: UInt8($0.offset), count: $0.element) }
        for (name, content) in zip(names, contents) {
            let file = place.appending(path: "from/\(name)")
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try content.write(to: file)
        }
        let archive = place.appending(path: "archive.tar").path(percentEncoded: false)
        try Archive.write(
            place.appending(path: "from").path(percentEncoded: false), named: "root", to: archive, at: Timestamp(rawValue: 1_000_000))
        let tar = Process()
        tar.executableURL = URL(filePath: "/bin/tar")
        tar.arguments = ["-xf", archive, "-C", place.path(percentEncoded: false)]
        try tar.run()
        tar.waitUntilExit()
        #expect(tar.terminationStatus == 0)
        for (name, content) in zip(names, contents) {
            #expect(try Data(contentsOf: place.appending(path: "root/\(name)")) == content, "\(name.prefix(20))")
        }
        #expect(try FileManager.default.attributesOfItem(atPath: archive)[.posixPermissions] as? Int == 0o600)
    }
}
