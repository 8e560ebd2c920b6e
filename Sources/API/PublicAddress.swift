/// What clients call a server, as its operator says it.
package struct PublicAddress: Hashable, Sendable {
    /// What logins may be signed for.
    package let host: HostName
    /// The address as it was given, without a slash at its end and the scheme's own port: what people are told.
    package let text: String

    /// Reads `https://host`, with a port and a path or without.
    ///
    /// - Returns: nil for what is no such address.
    package init?(_ url: String) {
        guard let scheme = ["https": 443, "http": 80].first(where: { url.lowercased().hasPrefix($0.key + "://") }) else { return nil }
        let rest = url.dropFirst(scheme.key.count + "://".count)
        let authority = rest.prefix { !"/?#".contains($0) }
        let path = rest.dropFirst(authority.count).prefix { !"?#".contains($0) }
        guard let host = HostName(String(authority)) else { return nil }
        self.host = host
        let shown = host.port == scheme.value ? authority.dropLast(":\(scheme.value)".count) : authority
        var text = "\(scheme.key)://\(shown)\(path)"
        while text.hasSuffix("/") { text.removeLast() }
        self.text = text
    }
}
