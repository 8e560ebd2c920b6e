internal import Foundation
import Sodium

/// Where a Redis is, and how to enter it.
///
///     redis://[[user]:password@]host[:port][/database]
///     rediss://…[?sslrootcert=/path/to/authorities.pem]        over TLS
///     unix://[[user]:password@]/path/to/socket[?db=database]
///
/// User and password are percent-encoded. Over TLS the server's certificate must be good for `host` and signed by one of the
/// system's authorities, or by one of those in the file that `sslrootcert` names (the word is libpq's).
package struct RedisURL: Sendable, Unprinted {
    enum Address: Hashable, Sendable {
        case host(String, port: Int)
        case socket(path: String)
    }

    let address: Address
    let user: String?
    let password: String?
    let database: Int
    let isEncrypted: Bool
    /// The file of authorities that the address names.
    package let authoritiesPath: String?

    private static let defaultPort = 6379

    /// What is wrong with an address. Holds nothing of it.
    package struct Mistake: Error, Hashable, CustomStringConvertible {
        package let description: String

        init(_ description: String) { self.description = description }
    }

    /// - Throws: ``Mistake``
    package init(_ text: String) throws(Mistake) {
        guard let parts = URLComponents(string: text, encodingInvalidCharacters: false), let scheme = parts.scheme, parts.fragment == nil
        else {
            throw Mistake(
                "the address of Redis is not one such as redis://:password@host:6379/0; are special characters percent-encoded?")
        }
        var options: [String: String] = [:]
        for item in parts.queryItems ?? [] { options[item.name] = item.value ?? "" }
        user = parts.user.flatMap { $0.isEmpty ? nil : $0 }
        password = parts.password.flatMap { $0.isEmpty ? nil : $0 }
        guard user == nil || password != nil else { throw Mistake("the address of Redis names a user without a password") }

        // `host` asks ICU, whose data a release leaves out, for names that are not ASCII.
        switch scheme {
        case "redis", "rediss":
            guard let host = parts.encodedHost?.removingPercentEncoding?.trimmingCharacters(in: ["[", "]"]), !host.isEmpty else {
                throw Mistake("the address of Redis names no host")
            }
            guard (1...65535).contains(parts.port ?? Self.defaultPort) else { throw Mistake("the address of Redis has no good port") }
            address = .host(host, port: parts.port ?? Self.defaultPort)
            isEncrypted = scheme == "rediss"
            database = try Self.database(parts.path.isEmpty ? "" : String(parts.path.dropFirst()))
        case "unix":
            guard (parts.encodedHost ?? "").isEmpty, parts.path.count > 1 else {
                throw Mistake("the address of a Redis on a socket is unix:///path/to/socket")
            }
            address = .socket(path: parts.path)
            isEncrypted = false
            database = try Self.database(options.removeValue(forKey: "db") ?? "")
        default: throw Mistake("the address of Redis begins with redis://, rediss:// or unix://")
        }
        authoritiesPath = isEncrypted ? options.removeValue(forKey: "sslrootcert") : nil
        guard options.isEmpty else { throw Mistake("the address of Redis has options that are not known") }
    }

    private static func database(_ text: String) throws(Mistake) -> Int {
        guard let number = text.isEmpty ? 0 : Int(text), number >= 0 else {
            throw Mistake("the address of Redis ends with the number of a database, not with a name")
        }
        return number
    }
}
