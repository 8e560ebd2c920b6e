internal import HTTPTypes
internal import NIOCore

/// Which addresses of clients are kept with what they write.
package enum RecordedAddresses: Sendable {
    case none
    /// That of the connection.
    case ofConnections
    /// The one that the proxy before the server tells in `X-Forwarded-For`; that of the connection where it tells none.
    case fromProxy
}

extension Call {
    /// The client's address, where it is to be recorded.
    ///
    /// Of the addresses in `X-Forwarded-For` it is the last, which the proxy itself has added: those before it are what
    /// the client says, and anybody can say anything.
    func clientAddress(_ addresses: RecordedAddresses) -> String? { Self.clientAddress(addresses, headers, channel) }

    static func clientAddress(_ addresses: RecordedAddresses, _ headers: HTTPFields, _ channel: any Channel) -> String? {
        switch addresses {
        case .none: nil
        case .ofConnections: channel.remoteAddress?.ipAddress
        case .fromProxy: forwardedAddress(headers) ?? channel.remoteAddress?.ipAddress
        }
    }

    /// The client's address, to be counted by; nil where a proxy hides it.
    func countedAddress(_ settings: APISettings) -> String? { clientAddress(settings.isProxied ? .fromProxy : .ofConnections) }

    private static func forwardedAddress(_ headers: HTTPFields) -> String? {
        // Of several fields the last counts, as of several addresses in one.
        guard let field = headers[values: forwardedFor].last,
            let last = field.split(separator: ",", omittingEmptySubsequences: false).last
        else { return nil }
        return address(last)
    }

    /// The address as this program writes it, without the port that some proxies tell too; nil where the text is none.
    static func address(_ text: Substring) -> String? {
        // What is behind a NUL would not be looked at.
        guard text.utf8.count <= longestAddress, !text.utf8.contains(0) else { return nil }
        var text = text.drop { " \t\"".contains($0) }
        while let last = text.last, " \t\"".contains(last) { text.removeLast() }
        if text.hasPrefix("[") {
            text = text.dropFirst().prefix { $0 != "]" }
        } else if text.count(where: { $0 == ":" }) == 1 {
            text = text.prefix { $0 != ":" }
        }
        do { return try SocketAddress(ipAddress: String(text), port: 0).ipAddress } catch { return nil }
    }

    /// More than an IPv6 address with its brackets, port, quotes and some blanks.
    private static let longestAddress = 100

    static let forwardedFor: HTTPField.Name = {
        guard let name = HTTPField.Name("X-Forwarded-For") else { preconditionFailure("X-Forwarded-For is the name of a header") }
        return name
    }()
}
