internal import ArgumentParser
internal import Foundation

/// The original server's `etebase-server.ini`, as the settings of ours that it stands for.
struct EtebaseConfiguration {
    /// By the names of variables of the environment.
    private(set) var settings: [String: String] = [:]
    /// What is set there and not served here.
    private(set) var notServed: [String] = []

    /// Where the file lies.
    private let folder: String

    /// - Throws: `ValidationError` for what the original would not understand, or what Apus cannot do.
    init(path: String) throws {
        guard let content = FileManager.default.contents(atPath: path), let text = String(bytes: content, encoding: .utf8) else {
            throw ValidationError("\(path) cannot be read")
        }
        folder = URL(filePath: path).deletingLastPathComponent().path(percentEncoded: false)
        do { try read(Self.sections(text)) } catch let mistake as ValidationError {
            throw ValidationError("\(path): \(mistake.message)")
        }
    }

    private typealias Section = [String: String]

    /// The sections as Python's configparser reads them: keys in any case, `%%` for `%`, comments on lines of their own.
    private static func sections(_ text: String) throws -> [String: Section] {
        var sections: [String: Section] = [:]
        var section: String?
        /// How far the last key was indented, and which it was: what is indented further goes on with its value.
        var last: (key: String, indent: Int)?
        for line in text.split(whereSeparator: \.isNewline) {
            let content = line.trimmingCharacters(in: .whitespaces)
            if content.isEmpty || content.hasPrefix("#") || content.hasPrefix(";") { continue }
            let indent = line.prefix(while: \.isWhitespace).count
            if let last, indent > last.indent {
                throw ValidationError("[\(section ?? "")] \(last.key): values of several lines are not understood")
            }
            if content.hasPrefix("["), let end = content.lastIndex(of: "]") {
                let name = String(content[..<end].dropFirst())
                (section, last) = (name, nil)
                guard sections.updateValue([:], forKey: name) == nil else { throw ValidationError("[\(name)] stands there twice") }
                continue
            }
            guard let section, let end = content.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
                throw ValidationError("there is neither a section nor a key with its value on the line: \(content.prefix(20))…")
            }
            let key = content[..<end].trimmingCharacters(in: .whitespaces).lowercased()
            let value = content[content.index(after: end)...].trimmingCharacters(in: .whitespaces)
            guard !value.contains("%(") else { throw ValidationError("[\(section)] \(key): references to other keys are not understood") }
            guard sections[section]?.updateValue(value.replacing("%%", with: "%"), forKey: key) == nil else {
                throw ValidationError("[\(section)] \(key) stands there twice")
            }
            last = (key, indent)
        }
        return sections
    }

    /// A path as it is good here. The original takes paths from the folder that it is started in, which is most often that of
    /// the file; so what is there is meant, wherever this program is started.
    private func path(_ text: String) -> String {
        let beside = folder + text
        return !text.hasPrefix("/") && FileManager.default.fileExists(atPath: beside) ? beside : text
    }

    /// What the original takes where nothing is said, if it is there.
    private mutating func fillIn() {
        let usual = [
            ("APUS_MEDIA_ROOT", "", "media"), ("APUS_SECRET_FILE", "", "secret.txt"),
            ("APUS_DATABASE_URL", "sqlite:", "db.sqlite3"),
        ]
        for (setting, scheme, name) in usual where settings[setting] == nil {
            let path = path(name)
            if FileManager.default.fileExists(atPath: path) { settings[setting] = scheme + path }
        }
    }

    private mutating func read(_ sections: [String: Section]) throws {
        for (name, section) in sections.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "global": try readGlobal(section)
            case "allowed_hosts": settings["APUS_ALLOWED_HOSTS"] = section.sorted { $0.key < $1.key }.map(\.value).joined(separator: ",")
            case "database": try readDatabase(section, options: sections["database-options"] ?? [:])
            case "database-options": break
            case "ldap": try readLDAP(section)
            default: throw ValidationError("[\(name)] is no section that is known")
            }
        }
        fillIn()
    }

    private mutating func readGlobal(_ section: Section) throws {
        for (key, value) in section.sorted(by: { $0.key < $1.key }) {
            switch key {
            case "secret_file": settings["APUS_SECRET_FILE"] = path(value)
            case "media_root": settings["APUS_MEDIA_ROOT"] = path(value)
            case "debug": settings["APUS_DEBUG"] = value
            case "redis_uri": settings["APUS_REDIS_URL"] = value
            case "static_root", "static_url", "media_url", "language_code", "time_zone": notServed.append(key)
            default: throw ValidationError("[global] \(key) is no key that is known")
            }
        }
    }

    private mutating func readLDAP(_ section: Section) throws {
        for (key, value) in section.sorted(by: { $0.key < $1.key }) {
            switch key {
            case "server": settings["APUS_LDAP_URL"] = value
            case "search_base": settings["APUS_LDAP_BASE"] = value
            case "filter": settings["APUS_LDAP_FILTER"] = value
            case "bind_dn": settings["APUS_LDAP_BIND_DN"] = value
            case "bind_pw": settings["APUS_LDAP_PASSWORD"] = value
            case "bind_pw_file": settings["APUS_LDAP_PASSWORD_FILE"] = path(value)
            case "cache_ttl":
                guard let hours = Int(value), hours > 0 else { throw ValidationError("[ldap] cache_ttl: \(value) is no number of hours") }
                settings["APUS_LDAP_CACHE"] = "\(hours)h"
            default: throw ValidationError("[ldap] \(key) is no key that is known")
            }
        }
    }

    private mutating func readDatabase(_ section: Section, options: Section) throws {
        let known: Set<String> = ["engine", "name", "user", "password", "host", "port"]
        if let unknown = section.keys.sorted().first(where: { !known.contains($0) }) {
            throw ValidationError("[database] \(unknown) is no key that is known")
        }
        guard let name = section["name"], !name.isEmpty else { throw ValidationError("[database] has no name") }
        switch section["engine"] {
        case "django.db.backends.sqlite3":
            settings["APUS_DATABASE_URL"] = "sqlite:\(path(name))"
            notServed += options.keys.sorted().map { "[database-options] \($0)" }
        case "django.db.backends.postgresql", "django.db.backends.postgresql_psycopg2":
            settings["APUS_DATABASE_URL"] = Self.url(name, section, options)
        case let engine: throw ValidationError("[database] engine: \(engine ?? "none") is neither SQLite nor PostgreSQL")
        }
    }

    /// All in the query, where it does not matter whether the host is a folder with a socket. The options are libpq's.
    private static func url(_ name: String, _ section: Section, _ options: Section) -> String {
        var parameters = options
        parameters["dbname"] = name
        for key in ["user", "password", "host", "port"] where section[key]?.isEmpty == false { parameters[key] = section[key] }
        let query = parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\(encoded($0.value))" }
        return "postgres://?" + query.joined(separator: "&")
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            return isPlain ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}
