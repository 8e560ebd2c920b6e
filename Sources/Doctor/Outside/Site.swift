internal import Foundation
internal import NIOCore

/// The public address, as clients have it.
package struct Site: Sendable {
    /// What is wrong with an address.
    package struct Mistake: Error, CustomStringConvertible {
        package let description: String
    }

    let isEncrypted: Bool
    let host: String
    let port: Int
    /// What stands before the paths of the API, without a slash at its end.
    let path: String
    /// Where to connect to, instead of what the name says.
    let place: (host: String, port: Int)?
    /// The file of authorities that are trusted; nil for the system's.
    let authorities: String?

    /// - Parameters:
    ///   - place: `HOST:PORT` to connect to instead of what the name says.
    ///   - authorities: a file of certificates in PEM.
    package init(_ url: String, at place: String?, authorities: String?) throws(Mistake) {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(), let host = parts.plainHost, !host.isEmpty,
            parts.query == nil, parts.fragment == nil, parts.user == nil, ["http", "https"].contains(scheme)
        else { throw Mistake(description: "\(url) is no address such as https://sync.example.com or https://www.example.com/apus") }
        isEncrypted = scheme == "https"
        self.host = host
        port = parts.port ?? (isEncrypted ? 443 : 80)
        path = parts.path.hasSuffix("/") ? String(parts.path.dropLast()) : parts.path
        self.authorities = authorities
        guard let place else {
            self.place = nil
            return
        }
        guard let colon = place.lastIndex(of: ":"), let number = Int(place[place.index(after: colon)...]), (1...65535).contains(number)
        else {
            throw Mistake(description: "\(place) is no place to connect to, such as 192.0.2.7:443")
        }
        self.place = (place[..<colon].trimmingCharacters(in: ["[", "]"]), number)
    }

    /// As it stands in a request's Host.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isEncrypted ? 443 : 80) ? name : "\(name):\(port)"
    }

    var text: String { "\(isEncrypted ? "https" : "http")://\(authority)\(path)" }

    var isAddress: Bool {
        do { return try SocketAddress(ipAddress: host, port: 0).ipAddress != nil } catch { return false }
    }

    /// Whether nobody can reach it but this machine.
    var isLoopback: Bool { host == "localhost" || host.hasPrefix("127.") || host == "::1" }
}

extension URLComponents {
    /// The host without brackets, as it is asked for: a name that is not ASCII is encoded. `host` would ask ICU, whose data a release
    /// leaves out.
    var plainHost: String? { encodedHost?.trimmingCharacters(in: ["[", "]"]) }
}
