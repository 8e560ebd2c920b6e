internal import API
internal import MessagePack
internal import NIOCore
internal import Sodium

/// What comes through, and how long that may take.
extension Outside {
    func bodies() async -> Finding {
        await arrived { probe in
            let count = expectation.bodyBytes
            let size = "\(count / 1_000_000) MB"
            var body = ByteBuffer()
            body.reserveCapacity(count)
            // What is not the same everywhere: a piece that is lost or repeated shows.
            let piece = ByteBuffer(bytes: Sodium.randomBytes(64 << 10))
            while body.readableBytes + 8 + piece.readableBytes <= count {
                body.writeInteger(UInt64(body.readableBytes))
                body.writeImmutableBuffer(piece)
            }
            body.writeRepeatingByte(7, count: count - body.readableBytes)
            let (means, mend) = (
                "Contacts, notes and files above the limit are never synced, and apps say little of it.",
                "client_max_body_size 75m (nginx), LimitRequestBody 75000000 (Apache), request_body max_size 75MB (Caddy); "
                    + "the same for a firewall before it."
            )
            do {
                let fields = [("Content-Type", "application/octet-stream")]
                let answer = try await visitor.ask("POST", Self.path(probe, "body"), fields, body: body, within: .seconds(150))
                guard answer.status == 200, case .map(let map) = try MessagePackValue(validating: answer.body).kind,
                    case .bytes(let hash)? = map["hash"]?.kind
                else { return .failure("\(size) are answered with \(answer.status)", means: means, mend: mend) }
                guard Array(hash.readableBytesView) == Sodium.blake2b(Array(body.readableBytesView)) else {
                    return .failure(
                        "\(size) arrive changed", means: "What is synced is damaged.", mend: "Let nothing on the way change bodies.")
                }
                return .ok("\(size) arrive as they were sent")
            } catch { return .failure("\(size) do not come through: \(Self.words(error))", means: means, mend: mend) }
        }
    }

    func answers() async -> Finding {
        await arrived { probe in
            do {
                let answer = try await visitor.ask("GET", Self.path(probe, "answer"), within: .seconds(60))
                guard answer.status == 200 else {
                    return .failure(
                        "it is answered with \(answer.status)", means: "Large collections are never synced.", mend: "See the proxy's log.")
                }
                guard answer.isWhole, answer.body.readableBytes == API.longAnswerBytes else {
                    return .failure(
                        "of \(API.longAnswerBytes) bytes \(answer.body.readableBytes) arrive", means: "Large collections are never synced.",
                        mend: "Let the proxy have room for its temporary files or none (proxy_max_temp_file_size 0), and change no answers."
                    )
                }
                guard answer.firstAfter * 2 < answer.lastAfter else {
                    return .warning(
                        "it is held back until it is whole, or much of it",
                        means: "First bytes come late, and each long answer costs the proxy memory or disk.",
                        mend: "proxy_buffering off (nginx), flush_interval -1 (Caddy), flushpackets=on (Apache).")
                }
                return .ok("\(API.longAnswerBytes >> 20) MiB come as they are sent")
            } catch {
                return .failure(
                    "it does not come: \(Self.words(error))", means: "Large collections are never synced.", mend: "See the proxy's log.")
            }
        }
    }

    func sockets() async -> Finding {
        await arrived { probe in
            let (means, mend) = (
                "Apps are not told of changes: they see them when they sync by themselves, minutes or hours later.",
                "proxy_http_version 1.1, and Upgrade and Connection passed on for /api/v1/ws/ (nginx); upgrade=websocket (Apache)."
            )
            do {
                switch try await socket(probe).outcome(keepFor: .zero) {
                case .kept: return .ok("they open, and what is sent comes")
                case .refused(let status): return .failure("they are answered with \(status) instead of 101", means: means, mend: mend)
                case .silent: return .failure("they open, and nothing comes", means: means, mend: mend)
                case .closed: return .failure("they are closed at once", means: means, mend: mend)
                }
            } catch { return .failure("they do not open: \(Self.words(error))", means: means, mend: mend) }
        }
    }

    private func socket(_ probe: String) -> SocketVisit { SocketVisit(visitor: visitor, path: "/api/v1/ws/doctor.\(probe)/") }

    /// Waits for an answer, and beside it on a socket.
    func time() async -> Finding {
        await arrived { probe in
            let seconds = patience.components.seconds
            async let answer = slowAnswer(probe, seconds)
            async let socket = quietSocket(probe)
            let found = await [answer, socket].compactMap { $0 }
            guard !found.isEmpty else { return .ok("answers and sockets may take \(seconds) s") }
            return .failure(
                found.joined(separator: "; "), means: "What takes long is cut: large first syncs, and the sockets that tell of changes.",
                mend: "proxy_read_timeout 300s (nginx), ProxyTimeout 300 (Apache), timeout server 300s and timeout tunnel 1h (HAProxy).")
        }
    }

    private func slowAnswer(_ probe: String, _ seconds: Int64) async -> String? {
        do {
            let answer = try await visitor.ask(
                "GET", Self.path(probe, "wait") + "?seconds=\(seconds)", within: patience + .seconds(20))
            return answer.status == 200
                ? nil : "an answer after \(seconds) s is cut, with \(answer.status) after \(answer.lastAfter.components.seconds) s"
        } catch { return "an answer after \(seconds) s is cut: \(Self.words(error))" }
    }

    private func quietSocket(_ probe: String) async -> String? {
        do {
            guard case .closed(let time) = try await socket(probe).outcome(keepFor: patience), time > .seconds(1) else { return nil }
            return "a socket is cut after \(time.components.seconds) s"
        } catch {
            // That sockets do not open is another check's matter.
            return nil
        }
    }

    /// Web pages of other addresses may use the server: the web app is one.
    func pages() async -> Finding {
        guard case .success(let answer) = first, answer.status == 200 else { return .notApplicable("the API does not answer (check 36)") }
        let (means, mend) = (
            "Browsers let no web app use the server: not the official one, nor one of your own.",
            "Let the proxy pass OPTIONS on, and neither remove nor add Access-Control-… headers: apus sends them "
                + "(proxy_hide_header, add_header, Header unset)."
        )
        do {
            let preflight = try await visitor.ask(
                "OPTIONS", Self.known,
                [("Origin", Self.origin), ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "authorization")])
            let asked = try await visitor.ask("GET", Self.known, [("Origin", Self.origin)])
            guard (200..<300).contains(preflight.status) else {
                return .failure("OPTIONS is answered with \(preflight.status)", means: means, mend: mend)
            }
            for (name, answer) in [("OPTIONS", preflight), ("GET", asked)] {
                let origins = answer.values("access-control-allow-origin")
                guard origins == [Self.origin] else {
                    let words =
                        origins.isEmpty
                        ? "has no Access-Control-Allow-Origin" : "has it \(origins.count) times: \(origins.joined(separator: ", "))"
                    return .failure("the answer to \(name) \(words)", means: means, mend: mend)
                }
            }
            let (methods, headers) = (
                preflight.value("access-control-allow-methods") ?? "", preflight.value("access-control-allow-headers") ?? ""
            )
            guard methods.contains("PUT"), headers.lowercased().contains("authorization") else {
                return .failure("OPTIONS allows neither what is asked for nor says so", means: means, mend: mend)
            }
            return .ok("pages of any address may ask")
        } catch { return .failure("there is no answer to OPTIONS: \(Self.words(error))", means: means, mend: mend) }
    }
}
