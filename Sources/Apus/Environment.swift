internal import ArgumentParser
internal import Foundation
internal import Sodium

/// What the environment says. Flags come before it.
struct Environment: Sendable, Unprinted {
    /// Every variable that Apus reads. A secret may be read from the file that the same name with `_FILE` names.
    private static let known: Set<String> = [
        "APUS_LISTEN", "APUS_CONFIG", "APUS_DATA", "APUS_MEDIA_ROOT", "APUS_DATABASE_URL", "APUS_DATABASE_URL_FILE",
        "APUS_READ_DATABASE_URL", "APUS_READ_DATABASE_URL_FILE", "APUS_CHUNKS", "APUS_REDIS_URL",
        "APUS_REDIS_URL_FILE", "APUS_ROLES", "APUS_SIGNUP", "APUS_PUBLIC_URL",
        "APUS_SECRET", "APUS_SECRET_FILE", "APUS_TOKEN_LIFETIME", "APUS_PASSWORD_CHANGE",
        "APUS_DEBUG", "APUS_ALLOWED_HOSTS", "APUS_DASHBOARD_URL", "APUS_CHALLENGE_LIFETIME", "APUS_LOG_FORMAT", "APUS_LOG_LEVEL",
        "APUS_SOCKETS_PER_USER", "APUS_SOCKET_RATE", "APUS_PING_INTERVAL", "APUS_DRAIN", "APUS_LAME_DUCK",
        "APUS_RECORD_ADDRESSES", "APUS_TRUST_PROXY", "APUS_SEAL_INTERVAL",
        "APUS_BODY_LIMIT", "APUS_CHUNK_LIMIT", "APUS_BATCH_LIMIT", "APUS_CONNECTIONS", "APUS_MEMORY",
        "APUS_OPS_LISTEN", "APUS_METRICS_TOKEN", "APUS_METRICS_TOKEN_FILE",
    ]

    private let values: [String: String]
    /// What the operator should know of the settings, in words.
    private(set) var notices: [String] = []

    /// - Parameter config: a file that is asked where neither flags nor the environment say anything.
    /// - Throws: `ValidationError` for a variable that begins with `APUS_` and is none of ours: it is a mistake.
    init(_ values: [String: String] = ProcessInfo.processInfo.environment, config: String?) throws {
        var ours = values.filter { $0.key.hasPrefix("APUS_") && !$0.key.hasPrefix("APUS_TEST_") }
        for (name, value) in ours where !Self.known.contains(name) && ServiceLinks.areOf(name, value) { ours[name] = nil }
        for name in ours.keys.sorted() where !Self.known.contains(name) {
            throw ValidationError("\(name) is not a setting of this version of apus")
        }
        if let path = config ?? ours["APUS_CONFIG"] {
            let file = try EtebaseConfiguration(path: path)
            // A secret is set under one of two names.
            for (name, value) in file.settings where ours[name] == nil && ours[Self.otherName(name)] == nil { ours[name] = value }
            if !file.notServed.isEmpty { notices.append("\(path): apus does nothing about \(file.notServed.joined(separator: ", "))") }
        }
        self.values = ours
    }

    private static func otherName(_ name: String) -> String {
        name.hasSuffix("_FILE") ? String(name.dropLast("_FILE".count)) : name + "_FILE"
    }

    func text(_ name: String, flag: String?, default fallback: String) -> String { flag ?? values[name] ?? fallback }
    func text(_ name: String, flag: String?) -> String? { flag ?? values[name] }

    func flag(_ name: String, flag: Bool) throws -> Bool {
        guard !flag, let text = values[name] else { return flag }
        switch text.lowercased() {
        case "1", "true", "yes", "on": return true
        case "0", "false", "no", "off", "": return false
        default: throw ValidationError("\(name) is on or off, not \(text)")
        }
    }

    func number(_ name: String, flag: Int?, default fallback: Int) throws -> Int {
        guard let text = flag.map(String.init) ?? values[name] else { return fallback }
        guard let number = Int(text), number > 0 else { throw ValidationError("\(name) is a whole number above 0, not \(text)") }
        return number
    }

    /// A number of bytes.
    func size(_ name: String, flag: String?, default fallback: Int) throws -> Int {
        try (flag ?? values[name]).map { try Size.parse($0, of: name) } ?? fallback
    }

    func choice<T: RawRepresentable & CaseIterable>(_ name: String, flag: T?, default fallback: T) throws -> T
    where T.RawValue == String {
        guard flag == nil, let text = values[name] else { return flag ?? fallback }
        guard let choice = T(rawValue: text) else {
            throw ValidationError("\(name) is one of \(T.allCases.map(\.rawValue).joined(separator: ", ")), not \(text)")
        }
        return choice
    }

    /// A secret: the variable, or the content of the file that `NAME_FILE` names, without a line's end.
    func secret(_ name: String) throws -> String? {
        let secret: String
        if let value = values[name] {
            secret = value
        } else if let path = values[name + "_FILE"] {
            guard let content = FileManager.default.contents(atPath: path) else {
                throw ValidationError("\(path), where \(name)_FILE or the configuration says that it is, cannot be read")
            }
            secret = String(decoding: content, as: UTF8.self).trimmingCharacters(in: .newlines)
        } else {
            return nil
        }
        guard !secret.isEmpty else { throw ValidationError("\(name) is empty") }
        return secret
    }

    /// The server's secret; nil for the one in the data folder.
    func givenSecret() throws -> Hidden<[UInt8]>? { try secret("APUS_SECRET").map { Hidden(Array($0.utf8)) } }
}
