internal import ArgumentParser
internal import Foundation
internal import Sodium

/// What is set, and where: flags come before the environment, and that before the file of `--config`. Values that say nothing are
/// those of ``Settings``.
struct Environment: Sendable, Unprinted {
    /// Where a text was found.
    enum Origin: Hashable, Sendable {
        case commandLine
        case environment
        /// In a file of variables.
        case file(String)
        /// In an etebase-server.ini.
        case configuration(String)
    }

    struct Given: Sendable {
        let text: String
        let origin: Origin
    }

    /// Variables by their names.
    typealias Variables = [String: String]  // names of ours

    /// By the names of variables, those that name files with secrets too.
    private var given: [String: Given] = [:]  // names of ours
    /// What the operator should know of the settings, in words.
    private(set) var notices: [String] = []
    /// What is wrong with them, as far as it shows without reading them.
    private(set) var mistakes: [String] = []

    /// What is set, whatever is wrong with it.
    ///
    /// - Parameter flags: what was said on the command line, by the names of variables.
    init(examining variables: Variables, flags: Variables) {
        for (name, text) in flags { given[name] = Given(text: text, origin: .commandLine) }
        var known: Variables = [:]
        for (name, text) in variables.sorted(by: { $0.key < $1.key }) where name.hasPrefix(Self.prefix) && !name.hasPrefix("APUS_TEST_") {
            if Settings.byName[name] != nil {
                known[name] = text
            } else if !ServiceLinks.areOf(name, text) {
                mistakes.append(Self.unknown(name))
            }
        }
        add(known, from: .environment)
        if let path = given[Settings.config.name]?.text { add(file: path) }
    }

    /// - Throws: `ValidationError` for a variable that begins with `APUS_` and is none of ours: it is a mistake; and for a file that is
    ///   not understood.
    init(_ variables: Variables = ProcessInfo.processInfo.environment, flags: Variables) throws {
        self.init(examining: variables, flags: flags)
        if let first = mistakes.first { throw ValidationError(first) }
    }

    private static let prefix = "APUS_"

    /// What is said of a variable that is none of ours.
    static func unknown(_ name: String) -> String {
        let meant = Spelling.nearest(to: name, in: Settings.byName.keys.sorted()).map { "; is \($0) meant?" } ?? ""
        return "\(name) is not a setting of this version of apus\(meant)"
    }

    /// Adds what nobody has said who comes before. A secret is set under one of two names.
    private mutating func add(_ variables: Variables, from origin: Origin) {
        let before = given
        for (name, text) in variables {
            guard let setting = Settings.byName[name], before[name] == nil else { continue }
            if let fileName = setting.fileName, before[setting.name] != nil || before[fileName] != nil { continue }
            given[name] = Given(text: text, origin: origin)
        }
        for (name, text) in variables where !text.isEmpty {
            if let setting = Settings.byName[name], name == setting.fileName, variables[setting.name] != nil {
                notices.append("\(setting.name) and \(name) are both set: the first one counts")
            }
        }
    }

    /// Adds what a file says: an etebase-server.ini, or variables, of which one may name an etebase-server.ini.
    private mutating func add(file path: String, isLast: Bool = false) {
        do {
            guard try SettingsFile.isOfVariables(path) else {
                let file = try EtebaseConfiguration(path: path)
                add(file.settings, from: .configuration(path))
                if !file.notServed.isEmpty { notices.append("\(path): apus does nothing about \(file.notServed.joined(separator: ", "))") }
                return
            }
            guard !isLast else { throw ValidationError("\(path) is named by another such file: one of the two is enough") }
            let file = try SettingsFile(path: path)
            mistakes += file.mistakes
            notices += file.notices
            add(file.variables, from: .file(path))
            if let next = file.variables[Settings.config.name], next != path { add(file: next, isLast: true) }
        } catch { mistakes.append((error as? ValidationError)?.message ?? "\(path): \(error)") }
    }
}

// MARK: - What is asked for

extension Environment {
    /// The value of a setting that has a default.
    ///
    /// - Throws: `ValidationError` for a text that is no value of it.
    func value<Value>(_ setting: Setting<Value>) throws -> Value {
        guard let value = try optional(setting) else { preconditionFailure("\(setting.name) has no default") }
        return value
    }

    /// The value of a setting; nil where nobody has said anything.
    func optional<Value>(_ setting: Setting<Value>) throws -> Value? {
        precondition(Settings.byName[setting.name] != nil, "\(setting.name) is in the list of settings")
        return try text(setting.facts).map { try setting.read($0, setting.name) }
    }

    /// Whether somebody has said something.
    func isGiven<Value>(_ setting: Setting<Value>) -> Bool { found(setting.facts) != nil }

    /// What was found of a setting, be it the path of the file with the value.
    func found(_ setting: SettingFacts) -> (name: String, given: Given)? {
        for name in [setting.name, setting.fileName].compactMap({ $0 }) {
            if let given = given[name] { return (name, given) }
        }
        return nil
    }

    /// The text of a setting, or of what holds without it. A secret may be the content of a file, without the line's end.
    func text(_ setting: SettingFacts) throws -> String? {
        guard let (name, given) = found(setting) else {
            return switch setting.fallback {
            case .text(let text): text
            case .none: nil
            case .follows(_, let text): try text(self)
            }
        }
        guard setting.isSecret else { return given.text }
        var text = given.text
        if name == setting.fileName {
            guard let content = FileManager.default.contents(atPath: text) else {
                throw ValidationError("\(text), where \(name) or the configuration says that it is, cannot be read")
            }
            text = String(decoding: content, as: UTF8.self).trimmingCharacters(in: .newlines)
        }
        guard !text.isEmpty else { throw ValidationError("\(setting.name) is empty") }
        return text
    }
}
