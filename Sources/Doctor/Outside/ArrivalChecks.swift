internal import Foundation
internal import NIOCore

/// What arrives of a request.
extension Outside {
    func redirects() async -> Finding {
        guard case .success(let answer) = first else { return .notApplicable("there is no answer (checks 31 and 32)") }
        let posted: Visitor.Answer
        do { posted = try await visitor.ask("POST", "/api/v1/authentication/login_challenge/", body: ByteBuffer()) } catch {
            return .failure(
                "no answer comes to a POST: \(Self.words(error))", means: "Nobody can log in.", mend: "Let the proxy pass all methods on.")
        }
        for answer in [answer, posted] where answer.isRedirect {
            let place = answer.value("location") ?? ""
            let toTLS = !site.isEncrypted && place.hasPrefix("https://")
            return .failure(
                "the API answers \(answer.status), to \(place.prefix(100))",
                means: "Apps do not follow, or lose what they send: a redirected POST becomes a GET without its body and token.",
                mend: toTLS
                    ? "Let people enter the https address in their apps; the redirect does no harm to browsers."
                    : "Let people enter the address that it leads to, or take the redirect from the proxy's configuration for /api/.")
        }
        return .ok("GET and POST are answered where they are asked")
    }

    func path() -> Finding {
        let answer: Visitor.Answer
        switch first {
        case .success(let found): answer = found
        case .failure(let error):
            return .failure(
                "there is no answer: \(Self.words(error))", means: "No client reaches the server.",
                mend: "See checks 31 and 32; where they are well, what answers there speaks no HTTP.")
        }
        let body = String(decoding: answer.body.readableBytesView.prefix(4096), as: UTF8.self)
        // Both are other checks' matters.
        if answer.isRedirect { return .notApplicable("it is redirected (check 35)") }
        if answer.status == 400, body.contains("Invalid host header") {
            return .ok("apus answers, and does not serve this host (check 38)")
        }
        switch answer.status {
        case 200: return .ok("the API answers at \(site.text)")
        case 502, 503, 504:
            return .failure(
                "the proxy answers \(answer.status)", means: "It does not reach the server behind it.",
                mend: "Look whether apus runs, and whether the proxy is told where it listens (APUS_LISTEN), in a container too.")
        case 404 where body.contains("does_not_exist"):
            return .failure(
                "apus answers, and knows no such path",
                means:
                    "What it is asked for is not what the client asked for: "
                    + "\(site.path.isEmpty ? "something was put before the path" : "\(site.path) is still before it").",
                mend:
                    "Let the proxy take its own prefix from the path and add none: with nginx, proxy_pass ends with a slash "
                    + "as location does."
            )
        default:
            return .failure(
                "something else answers, with \(answer.status)", means: "The API is not at this address.",
                mend:
                    "Let the proxy pass everything below \(site.path.isEmpty ? "/" : site.path) on to apus, or enter the "
                    + "address where it does."
            )
        }
    }

    func thisServer() -> Finding {
        guard probe != nil else {
            return .notApplicable(
                "without the server's database nothing lets it know the doctor: run this where the server is, with its settings")
        }
        return answered { answer in
            guard arrival == nil else { return .ok("it knows the doctor by its database") }
            guard answer.status == 200 else { return .notApplicable("the API does not answer (check 36)") }
            return .failure(
                "a server of the protocol answers, and it has another database, or is older",
                means: "What is looked at here is not what clients use.",
                mend: "Look where the proxy leads to, and whether these are that server's settings (apus config).")
        }
    }

    func host() -> Finding {
        if case .success(let answer) = first, answer.status == 400,
            String(decoding: answer.body.readableBytesView.prefix(100), as: UTF8.self).contains("Invalid host header")
        {
            return .failure(
                "apus does not serve the host that it is asked for",
                means: "Nobody is served: the proxy does not pass the Host header on, or the name is not in APUS_ALLOWED_HOSTS.",
                mend: "proxy_set_header Host $http_host (nginx), ProxyPreserveHost On (Apache); or add \(site.host) to APUS_ALLOWED_HOSTS.")
        }
        return arrived { (arrival: Arrival) in
            guard Self.name(arrival.host) != site.host.lowercased() else { return .ok("\(arrival.host) arrives") }
            if let url = expectation.publicURL, URLComponents(string: url)?.plainHost?.lowercased() == site.host.lowercased() {
                return .ok("\(arrival.host) arrives, and APUS_PUBLIC_URL says what clients call the server")
            }
            return .failure(
                "\(arrival.host) arrives instead of \(site.authority)", means: "Logins are signed for the host that clients see, and fail.",
                mend: "proxy_set_header Host $http_host (nginx), ProxyPreserveHost On (Apache); or APUS_PUBLIC_URL=\(site.text).")
        }
    }

    /// Without a port and brackets.
    private static func name(_ authority: String) -> String {
        let text = authority.lowercased()
        if text.hasPrefix("[") { return String(text.dropFirst().prefix { $0 != "]" }) }
        return String(text.prefix { $0 != ":" })
    }

    func authorization() -> Finding {
        arrived { (arrival: Arrival) in
            guard arrival.authorization != Self.token else { return .ok("it arrives as it was sent") }
            return .failure(
                arrival.authorization == nil ? "it does not arrive" : "another one arrives",
                means: "After their login nobody is known: all answers are 401 or 403.",
                mend:
                    "Take from the proxy what removes it (proxy_set_header Authorization, RequestHeader unset, basic "
                    + "authentication); with CGI, CGIPassAuth On."
            )
        }
    }

    func methods() async -> Finding {
        await arrived { probe in
            var missing: [String] = []
            for method in ["PUT", "PATCH", "DELETE"] {
                do {
                    let answer = try await visitor.ask(method, Self.path(probe, "request"), body: method == "DELETE" ? nil : ByteBuffer())
                    if try Arrival(answer) == nil { missing.append("\(method) (\(answer.status))") }
                } catch { missing.append(method) }
            }
            guard !missing.isEmpty else { return .ok("GET, POST, PUT, PATCH and DELETE arrive") }
            return .failure(
                "\(missing.joined(separator: ", ")) does not arrive", means: "Members cannot be removed or changed, nor chunks uploaded.",
                mend: "Let the proxy pass all methods on (limit_except, LimitExcept, rules of a firewall for applications).")
        }
    }

    func addresses() -> Finding {
        arrived { (arrival: Arrival) in
            let last = arrival.forwardedFor.last?.split(separator: ",").last.map { $0.trimmingCharacters(in: .whitespaces) }
            let isClaimed = last == Self.claimedAddress
            let (means, mend) = (
                "All clients look like one, and are bounded together; addresses that are recorded are the proxy's.",
                "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for (nginx), option forwardfor (HAProxy); others do "
                    + "it by themselves."
            )
            if isClaimed, expectation.trustsProxy {
                return .failure(
                    "what clients claim arrives as it is",
                    means: "Anybody can pretend to be another address: APUS_TRUST_PROXY believes it.",
                    mend: "Let the proxy add the client's address to X-Forwarded-For; without a proxy leave APUS_TRUST_PROXY off.")
            }
            guard let last, !isClaimed else {
                // Somebody takes TLS off.
                if expectation.trustsProxy { return .failure("the proxy does not tell clients' addresses", means: means, mend: mend) }
                return site.isEncrypted
                    ? .warning("the proxy does not tell clients' addresses", means: means, mend: mend + " Then set APUS_TRUST_PROXY=on.")
                    : .ok("there is no proxy, and connections are the clients'")
            }
            guard expectation.trustsProxy else {
                return .warning("a proxy tells clients' addresses, and apus does not look", means: means, mend: "Set APUS_TRUST_PROXY=on.")
            }
            return .ok("\(last) arrives for this machine")
        }
    }
}
