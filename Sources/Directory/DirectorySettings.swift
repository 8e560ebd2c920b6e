package import Sodium

/// Where a directory is, and what it is asked.
package struct DirectorySettings: Sendable, Unprinted {
    /// Those that have the same content. One is asked; when it does not answer, the next.
    package let servers: [DirectoryAddress]
    /// Below which entry people are.
    package let base: String
    /// Finds a person's entry by the name.
    package let filter: DirectoryFilter
    /// As whom we ask; nil for as nobody.
    package var login: Login?
    /// Whether connections that are not encrypted from their beginning are made so before anything is said.
    package var startsTLS = false
    /// The file of certificates of the authorities to trust; nil for the system's.
    package var authoritiesPath: String?
    /// The entry of the group that one must be in; nil for none.
    package var group: String?
    /// The entry of the group of those who administer the server.
    package var adminGroup: String?
    /// How long an answer is good before it is asked for again.
    package var freshness = Duration.seconds(3600)
    /// How long an answer holds beyond that while the directory is away.
    package var grace = Duration.seconds(86_400)

    /// A name, as `cn=apus,dc=example,dc=com`, and its password.
    package struct Login: Sendable, Unprinted {
        let name: String
        let password: Hidden<String>

        package init(name: String, password: Hidden<String>) {
            self.name = name
            self.password = password
        }
    }

    package init(servers: [DirectoryAddress], base: String, filter: DirectoryFilter) {
        precondition(!servers.isEmpty, "a directory has a server")
        self.servers = servers
        self.base = base
        self.filter = filter
    }

    /// The servers to which what is said, the password among it, goes over a network as it is.
    package var unencrypted: [DirectoryAddress] { startsTLS ? [] : servers.filter { !$0.isEncrypted && !$0.isLocal } }
}

/// `ldap://host[:port]`, or `ldaps://…`, which is encrypted from its beginning.
package struct DirectoryAddress: Hashable, Sendable, CustomStringConvertible {
    package let description: String
    let isEncrypted: Bool
    let isLocal: Bool

    /// - Returns: nil for a text that is no such address.
    package init?(_ text: String) {
        let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, ["ldap", "ldaps"].contains(parts[0].lowercased()) else { return nil }
        let place = parts[1].last == "/" ? parts[1].dropLast() : parts[1]
        guard let (host, port) = Self.split(place), !host.isEmpty, port.map({ UInt16($0) ?? 0 > 0 }) ?? true else { return nil }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && !"/?#@%,[]".utf8.contains($0) }) else { return nil }
        isEncrypted = parts[0].lowercased() == "ldaps"
        isLocal = host == "localhost" || host == "::1" || host.hasPrefix("127.")
        description = "\(parts[0].lowercased())://\(place)"
    }

    /// Host and port; an IPv6 address stands in brackets.
    private static func split(_ place: Substring) -> (host: Substring, port: Substring?)? {
        if place.first == "[" {
            guard let end = place.firstIndex(of: "]") else { return nil }
            let (host, rest) = (place[..<end].dropFirst(), place[place.index(after: end)...])
            guard host.contains(":") else { return nil }
            if rest.isEmpty { return (host, nil) }
            return rest.first == ":" ? (host, rest.dropFirst()) : nil
        }
        let parts = place.split(separator: ":", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: return (parts[0], nil)
        case 2: return (parts[0], parts[1])
        default: return nil
        }
    }
}
