internal import ArgumentParser
internal import Database
internal import Server

/// How the texts of settings are read that are of the same kind as others. Each says the setting's name where a text is none.
enum SettingText {
    static func plain(_ text: String, _ name: String) -> String { text }

    static func flag(_ text: String, _ name: String) throws -> Bool {
        switch text.lowercased() {
        case "1", "true", "yes", "on": return true
        case "0", "false", "no", "off", "": return false
        default: throw ValidationError("\(name) is on or off, not \(text)")
        }
    }

    static func number(_ text: String, _ name: String) throws -> Int {
        guard let number = Int(text), number > 0 else { throw ValidationError("\(name) is a whole number above 0, not \(text)") }
        return number
    }

    static func choice<T: RawRepresentable & CaseIterable & Sendable>(of type: T.Type) -> Setting<T>.Reading where T.RawValue == String {
        { text, name in
            guard let choice = T(rawValue: text) else {
                throw ValidationError("\(name) is one of \(T.allCases.map(\.rawValue).joined(separator: ", ")), not \(text)")
            }
            return choice
        }
    }

    static func address(_ text: String, _ name: String) throws -> ListenAddress {
        do throws(SettingFault) { return try ListenAddress(text) } catch { throw ValidationError(error.description) }
    }

    static func database(_ text: String, _ name: String) throws -> DatabasePlace {
        if text.hasPrefix(sqlite), text.utf8.count > sqlite.utf8.count { return .sqlite(path: String(text.dropFirst(sqlite.count))) }
        guard isPostgres(text) else {
            throw ValidationError("a database's address begins with postgres://, or is sqlite: and the path of a file")
        }
        return .postgres(url: try postgres(text, name))
    }

    static func postgres(_ text: String, _ name: String) throws -> String {
        guard isPostgres(text) else { throw ValidationError("\(name) begins with postgres://") }
        guard PostgresDatabase.understands(text) else {
            throw ValidationError("\(name) is not understood: are special characters in it, as in a password, percent-encoded?")
        }
        return text
    }

    private static func isPostgres(_ text: String) -> Bool { text.hasPrefix("postgres://") || text.hasPrefix("postgresql://") }

    private static let sqlite = "sqlite:"
}
