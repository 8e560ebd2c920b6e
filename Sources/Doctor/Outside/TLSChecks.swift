internal import Domain
internal import Foundation
internal import NIOCore
internal import NIOSSL
internal import Synchronization

extension Outside {
    /// What the name says: addresses that others can reach.
    func name() -> Finding {
        guard site.place == nil else { return .notApplicable("--address says where to connect to") }
        guard !site.isAddress else { return .notApplicable("the address has no name") }
        do {
            let address = try SocketAddress.makeAddressResolvingHost(site.host, port: site.port)
            let text = address.ipAddress ?? ""
            guard !text.hasPrefix("127."), text != "::1" else {
                return site.isLoopback
                    ? .ok("\(site.host) is this machine")
                    : .warning(
                        "\(site.host) is \(text) here", means: "That is this machine itself: what others find may be something else.",
                        mend: "Look at /etc/hosts; from elsewhere, or with --address, the doctor sees what others see.")
            }
            return .ok("\(site.host) is \(text)")
        } catch {
            return .failure(
                "\(site.host) has no address", means: "No client finds the server.",
                mend: "Make an A or AAAA record of the name, and wait until it is known; --address HOST:PORT looks before that.")
        }
    }

    /// Whether an authority that clients trust has signed the certificate.
    func authorities() async -> Finding {
        guard site.isEncrypted else {
            return site.isLoopback
                ? .notApplicable("the address has no TLS, and is this machine's")
                : .warning(
                    "the address has no TLS", means: "Apps on other devices want HTTPS, and sessions could be read on their way.",
                    mend: "Put a proxy with a certificate before it: ops/proxies has what six of them must be told.")
        }
        do {
            _ = try await visitor.ask("GET", Self.known, trust: .chain)
            return .ok("the certificate is signed by an authority that is trusted")
        } catch {
            let shown = await shownCertificates()
            guard !shown.isEmpty else {
                return .failure(
                    "no connection is made: \(Self.words(error))", means: "No client reaches the server.",
                    mend: "Look whether the proxy runs and listens there, with TLS, and at firewalls and forwarded ports.")
            }
            if shown.contains(where: { Date(timeIntervalSince1970: TimeInterval($0.notValidAfter)) < Date() }) {
                return .notApplicable("a certificate's time is over (check 34)")
            }
            return .failure(
                "the certificate is not signed by an authority that is trusted (\(shown.count) shown)",
                means: "Clients make no connection: it is signed by itself, or the certificates between it and the authority are not sent.",
                mend: "Use the file with the whole chain (fullchain.pem, not cert.pem); for authorities of your own --authorities FILE.")
        }
    }

    static func words(_ error: any Error) -> String {
        switch error {
        case is NIOSSLError, is BoringSSLError: "what answers there makes no TLS connection"
        case let error as IOError: "\(error)"
        default: "\(error)"
        }
    }

    /// The certificates that the site shows, its own first; none where no connection is made.
    func shownCertificates() async -> [NIOSSLCertificate] {
        let shown = Shown()
        do {
            let stream = try await visitor.connect { certificates in shown.set(certificates) }
            let request = visitor.head("GET", Self.known, [("Connection", "close")], bodyBytes: nil)
            try await Visitor.within(.seconds(10)) {
                try await stream.executeThenClose { inbound, outbound in
                    try await outbound.write(request)
                    for try await _ in inbound { break }
                }
            }
        } catch {}
        return shown.certificates
    }

    private final class Shown: Sendable {
        private let state = Mutex<[NIOSSLCertificate]>([])
        var certificates: [NIOSSLCertificate] { state.withLock { $0 } }
        func set(_ certificates: [NIOSSLCertificate]) { state.withLock { $0 = certificates } }
    }

    func certificate(_ body: (NIOSSLCertificate) -> Finding) async -> Finding {
        guard site.isEncrypted else { return .notApplicable("the address has no TLS") }
        guard let certificate = await shownCertificates().first else { return .notApplicable("no connection is made (check 32)") }
        return body(certificate)
    }
}

/// What a site's own certificate says.
struct TLSChecks {
    private static let mend =
        "Get a new one from the authority (certbot renew), and look why that did not happen by itself; then reload the proxy."

    let site: Site
    let certificate: NIOSSLCertificate

    func time() -> Finding {
        let begin = Date(timeIntervalSince1970: TimeInterval(certificate.notValidBefore))
        guard begin <= Date() else {
            return .failure(
                "the certificate is good from \(begin.formatted(.iso8601)) only", means: "Clients make no connection.",
                mend: "Look at the clock of whoever made it, and at this machine's.")
        }
        return Inside.expiry(Date(timeIntervalSince1970: TimeInterval(certificate.notValidAfter)), of: "the certificate", mend: Self.mend)
    }

    func name() -> Finding {
        let names = Self.names(certificate)
        guard !names.contains(where: { Self.covers($0, site.host) }) else { return .ok("the certificate is for \(site.host)") }
        return .failure(
            "the certificate is for \(names.isEmpty ? "no name" : names.prefix(5).joined(separator: ", ")), not for \(site.host)",
            means: "Clients make no connection.",
            mend: "Get one for \(site.host), or let the proxy show that site's: most often it shows its default, for want of a server_name."
        )
    }

    private static func names(_ certificate: NIOSSLCertificate) -> [String] {
        certificate._subjectAlternativeNames().compactMap { name in
            let bytes = Array(name.contents)
            switch name.nameType {
            case .dnsName: return String(decoding: bytes, as: UTF8.self)
            case .ipAddress:
                do { return try SocketAddress(packedIPAddress: ByteBuffer(bytes: bytes), port: 0).ipAddress } catch { return nil }
            default: return nil
            }
        }
    }

    /// Whether a name of a certificate stands for a host (RFC 6125 §6.4.3): a star for the whole of the first label.
    static func covers(_ name: String, _ host: String) -> Bool {
        let (name, host) = (name.lowercased(), host.lowercased())
        guard let tail = name.after("*.") else { return name.isExactly(host) }
        guard let dot = host.firstIndex(of: ".") else { return false }
        return host[host.index(after: dot)...].isExactly(tail) && host.startIndex < dot
    }
}
