/// Where a request goes: its path and query.
struct Target: Sendable {
    /// Decoded; begins with one slash, however many stand there: addresses of servers are typed with a slash at their end too.
    let path: String
    /// As it came.
    let query: Substring?

    /// - Parameter text: a path and a query, or all of an address (RFC 9112 §3.2).
    init(_ text: String) {
        // Bytes, not characters: what combines with a separator does not hide it.
        var rest = text.utf8[...]
        let slash = UInt8(ascii: "/")
        if let scheme = ["http://", "https://"].first(where: { rest.starts(with: $0.utf8) }) {
            rest = rest.dropFirst(scheme.utf8.count).drop { $0 != slash && $0 != UInt8(ascii: "?") }
            if rest.first != slash { rest = ("/" + Substring(rest)).utf8[...] }
        }
        rest = rest.prefix { $0 != UInt8(ascii: "#") }
        var path = rest.prefix { $0 != UInt8(ascii: "?") }
        query = path.count == rest.count ? nil : Substring(rest.dropFirst(path.count + 1))
        while path.first == slash, path.dropFirst().first == slash { path.removeFirst() }
        self.path = PercentCoding.decode(Substring(path))
    }
}
