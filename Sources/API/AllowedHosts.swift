internal import HTTPTypes
internal import Hummingbird

/// Which Host headers are answered (`http-allowed-hosts`). Ports do not matter.
package struct AllowedHosts: Sendable {
    enum Verdict {
        case served
        case refused
        /// Only the name with `www.` is served.
        case redirected(Response)
    }

    private enum Pattern: Hashable, Sendable {
        case host(String)
        /// All below a domain.
        case below(String)
    }

    private let patterns: Set<Pattern>

    /// - Parameter patterns: hosts; `.example.com` stands for a domain and all below it, `*.example.com` for all below it alone,
    ///   `*` for any host.
    /// - Returns: nil where all hosts are allowed.
    /// - Throws: ``NoHost`` for what is neither.
    package init?(_ patterns: [String]) throws(NoHost) {
        var read: Set<Pattern> = []
        for text in patterns where !text.isEmpty {
            if text == "*" { return nil }
            let isDomain = text.hasPrefix(".")
            let isBelow = text.hasPrefix("*.")
            guard let host = HostName(String(text.dropFirst(isDomain ? 1 : isBelow ? 2 : 0))) else { throw NoHost(text: text) }
            if isDomain || isBelow { read.insert(.below(host.name)) }
            if !isBelow { read.insert(.host(host.name)) }
        }
        if read.isEmpty { return nil }
        self.patterns = read
    }

    /// A text that is no host.
    package struct NoHost: Error, Sendable {
        package let text: String
    }

    func check(_ host: HostName?, _ request: Request) -> Verdict {
        if serves(host) { return .served }
        guard let host, patterns.contains(.host("www." + host.name)) else { return .refused }
        let location = "http://www.\(request.head.authority ?? "")\(request.uri.string)"
        return .redirected(Response(status: .temporaryRedirect, headers: [.location: location]))
    }

    func serves(_ host: HostName?) -> Bool {
        guard let host else { return false }
        if patterns.contains(.host(host.name)) { return true }
        var rest = host.name[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            if patterns.contains(.below(String(rest))) { return true }
        }
        return false
    }
}
