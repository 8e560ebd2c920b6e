import ArgumentParser
import Domain
import Foundation

@testable import API
@testable import Apus

extension Subject {
    /// What the operator writes.
    static let operators = [
        // A file of variables, or an etebase-server.ini.
        Subject("files") { bytes in
            let path = FileManager.default.temporaryDirectory.path(percentEncoded: false) + "/apus-fuzzing-\(getpid()).\(UUID())"
            try require(FileManager.default.createFile(atPath: path, contents: Data(bytes)), "\(path) can be made")
            defer { try? FileManager.default.removeItem(atPath: path) }
            do { _ = try SettingsFile.isOfVariables(path) } catch is ValidationError {}
            do { try hold(SettingsFile(path: path).variables) } catch is ValidationError {}
            do { try hold(EtebaseConfiguration(path: path).settings) } catch is ValidationError {}
        },
        // The first byte says which one.
        Subject("settings") { bytes in
            guard let first = bytes.first else { return }
            try hold([Settings.all[Int(first) % Settings.all.count].name: bytes.dropFirst().text])
        },
        Subject("times") { bytes in
            let text = bytes.text
            if let time = Timestamp(written: text) { try require(time.text.hasPrefix(text.prefix(10)), "a day is that day") }
            let time: Timestamp
            do { time = try WrittenTime.parse(text) } catch is ValidationError { return }
            try require(try WrittenTime.parse(WrittenTime.text(time)) == time, "a time that is written is the same when it is read")
        },
    ]

    /// Reads what was found: each is good, or told as a mistake.
    private static func hold(_ variables: Environment.Variables) throws {
        for (name, text) in variables.sorted(by: { $0.key < $1.key }) {
            guard let setting = Settings.byName[name] else { throw Broken(description: "\(name) is a setting") }
            guard name == setting.name else { continue }
            do { try setting.check(text) } catch is ValidationError {}
        }
    }
}
