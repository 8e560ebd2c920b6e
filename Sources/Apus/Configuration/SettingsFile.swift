internal import ArgumentParser
internal import Foundation

/// A file of variables, one a line, as systemd's `EnvironmentFile=` reads it: `ops/apus.env` is one.
struct SettingsFile {
    /// Ours, by their names.
    private(set) var variables: Environment.Variables = [:]
    /// What is wrong with the lines, each with its number.
    private(set) var mistakes: [String] = []
    /// What the operator should know of the file.
    private(set) var notices: [String] = []

    /// More than anybody writes by hand.
    private static let longestBytes = 1 << 20
    private static let (others, quotes): (Int, [Character]) = (0o077, ["\"", "'"])

    /// Whether a file is one of variables: its first line that says anything has one. (An etebase-server.ini may say nothing.)
    ///
    /// - Throws: `ValidationError` where it cannot be read.
    static func isOfVariables(_ path: String) throws -> Bool {
        guard let first = lines(try text(path)).first else { return false }
        return !first.text.hasPrefix("[") && name(of: first.text) != nil
    }

    /// - Throws: `ValidationError` where it cannot be read.
    init(path: String) throws {
        for (number, line) in Self.lines(try Self.text(path)) {
            let place = "\(path), line \(number)"
            guard let name = Self.name(of: line) else {
                mistakes.append("\(place): there is no name of a variable with = and its value; a comment begins with #")
                continue
            }
            guard name.hasPrefix("APUS_") else {
                notices.append("\(place): \(name) is no setting of apus")
                continue
            }
            guard Settings.byName[name] != nil else {
                mistakes.append("\(place): \(Environment.unknown(name))")
                continue
            }
            let value = line.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)
            guard !value.hasSuffix("\\") else {
                mistakes.append("\(place): a value stands on one line")
                continue
            }
            guard variables.updateValue(Self.unquoted(value), forKey: name) == nil else {
                mistakes.append("\(place): \(name) stands there twice")
                continue
            }
        }
        let holdsSecret = variables.contains { Settings.byName[$0.key]?.isSecret == true && Settings.byName[$0.key]?.name == $0.key }
        if holdsSecret, try Self.mode(path) & Self.others != 0 {
            notices.append("\(path) holds a secret, and others may read it: chmod 600 \(path)")
        }
    }

    private static func text(_ path: String) throws -> String {
        guard let content = FileManager.default.contents(atPath: path), content.count <= longestBytes,
            let text = String(bytes: content, encoding: .utf8)
        else { throw ValidationError("\(path) cannot be read") }
        return text
    }

    private static func mode(_ path: String) throws -> Int {
        (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue ?? 0
    }

    /// Those that say something, with their numbers.
    private static func lines(_ text: String) -> [(number: Int, text: String)] {
        text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { index, line in
            let line = line.trimmingCharacters(in: .whitespacesAndNewlines)
            return line.isEmpty || line.hasPrefix("#") || line.hasPrefix(";") ? nil : (index + 1, line)
        }
    }

    /// What stands before the `=`, where it is a name.
    private static func name(of line: String) -> String? {
        guard let end = line.firstIndex(of: "=") else { return nil }
        let name = line[..<end]
        let isName = name.utf8.allSatisfy { byte in
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte & 0xDF) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "_")
        }
        return isName && !name.isEmpty ? String(name) : nil
    }

    private static func unquoted(_ value: String) -> String {
        guard value.count > 1, let first = value.first, quotes.contains(first), value.last == first else { return value }
        return String(value.dropFirst().dropLast())
    }
}
