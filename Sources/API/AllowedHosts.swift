internal import HTTPTypes
internal import Hummingbird

/// Which Host headers are answered (`http-allowed-hosts`).
struct AllowedHosts: Sendable {
    enum Verdict {
        case served
        case refused
        /// Only the name with `www.` is served.
        case redirected(Response)
    }

    /// Nil for any.
    private let patterns: [String]?

    init(_ patterns: [String]?) {
        self.patterns = patterns?.contains("*") == true ? nil : patterns
    }

    func check(_ authority: String, _ request: Request) -> Verdict {
        guard let patterns else { return .served }
        let host = authority.prefix { $0 != ":" }
        if patterns.contains(where: { matches(host, $0) }) { return .served }
        guard patterns.contains("www." + host) else { return .refused }
        let location = "http://www.\(authority)\(request.uri.string)"
        return .redirected(Response(status: .temporaryRedirect, headers: [.location: location]))
    }

    private func matches(_ host: Substring, _ pattern: String) -> Bool {
        if pattern.hasPrefix("*.") { return host.hasSuffix(pattern.dropFirst()) }
        if pattern.hasPrefix(".") { return host == pattern.dropFirst() || host.hasSuffix(pattern) }
        return host == pattern
    }
}
