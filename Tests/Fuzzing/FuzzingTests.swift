import Foundation
import Sodium
import Testing

@Suite("Bytes of strangers") struct FuzzingTests {
    private static let corpora = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpora")

    @Test("that were tried before keep what is promised of them", arguments: Subject.all.map(\.name))
    func corpus(name: String) async throws {
        let subject = try #require(Subject.named(name))
        let lines = try String(contentsOf: Self.corpora.appending(path: name), encoding: .utf8).split(separator: "\n")
        #expect(!lines.isEmpty)
        for line in lines {
            let bytes = try #require([UInt8](hexadecimal: String(line.prefix { $0 != " " })), "\(line)")
            await #expect(throws: Never.self, "\(line)") { try await subject.check(bytes) }
        }
    }

    @Test("are kept for what there is") func complete() throws {
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: Self.corpora.path())) == Set(Subject.all.map(\.name)))
    }
}
