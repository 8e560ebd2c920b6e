/// The variables that Kubernetes puts into every container for each Service of its namespace (and Docker for links). One that is
/// called `apus`, or `apus-` and more, gets names that begin as our settings do; they are nobody's mistake.
///
/// Source of the rule: kubernetes `pkg/kubelet/envvars/envvars.go`.
enum ServiceLinks {
    /// Whether a variable is of the form, in name and value, of those that a Service makes:
    ///
    ///     X_SERVICE_HOST=10.96.12.7           X_PORT=tcp://10.96.12.7:3735
    ///     X_SERVICE_PORT=3735                 X_PORT_3735_TCP=tcp://10.96.12.7:3735
    ///     X_SERVICE_PORT_HTTP=3735            X_PORT_3735_TCP_PROTO=tcp  …_PORT=3735  …_ADDR=10.96.12.7
    static func areOf(_ name: String, _ value: String) -> Bool {
        if name.hasSuffix("_SERVICE_HOST") { return isAddress(value[...]) }
        if let range = name.ranges(of: "_SERVICE_PORT").last {
            let portName = name[range.upperBound...]
            return isPort(value[...]) && (portName.isEmpty || portName.hasPrefix("_") && portName.count > 1)
        }
        if name.hasSuffix("_PORT"), isPlace(value, of: nil) { return true }
        guard let range = name.ranges(of: "_PORT_").last else { return false }
        var words = name[range.upperBound...].split(separator: "_", omittingEmptySubsequences: false)[...]
        // The port of `X_PORT_3735_TCP_PORT` stands in its own word.
        if words.isEmpty || !isPort(words[words.startIndex]) { return false }
        words = words.dropFirst()
        guard let transport = words.popFirst().map({ $0.lowercased() }), ["tcp", "udp", "sctp"].contains(transport) else { return false }
        switch words.popFirst() {
        case nil: return isPlace(value, of: transport)
        case "PROTO": return words.isEmpty && value == transport
        case "PORT": return words.isEmpty && isPort(value[...])
        case "ADDR": return words.isEmpty && isAddress(value[...])
        default: return false
        }
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } && (UInt16(text) ?? 0) > 0
    }

    /// Whether a text is an address of IPv4 or IPv6, not a name.
    private static func isAddress(_ text: Substring) -> Bool {
        let digits = text.contains(":") ? "0123456789abcdefABCDEF:." : "0123456789."
        return text.contains { $0 == "." || $0 == ":" } && text.allSatisfy { digits.contains($0) }
    }

    /// `tcp://10.96.12.7:3735`, `udp://[fd00::1]:53`.
    private static func isPlace(_ text: String, of transport: String?) -> Bool {
        guard let scheme = text.ranges(of: "://").first, let colon = text.lastIndex(of: ":"), colon >= scheme.upperBound else {
            return false
        }
        let kinds = transport.map { [$0] } ?? ["tcp", "udp", "sctp"]
        let host = text[scheme.upperBound..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        return kinds.contains(String(text[..<scheme.lowerBound])) && isPort(text[text.index(after: colon)...])
            && isAddress(isBracketed ? host.dropFirst().dropLast() : host)
    }
}
