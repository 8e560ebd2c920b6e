import HTTPTypes
import Logging
import Sodium
import Synchronization
import Testing

@testable import API
@testable import Server

private let list = "GET /api/v1/collection/"
private let logIn = "POST /api/v1/authentication/login/"
private let requestID = RequestLog.header

extension RouteCase {
    static let logs = [
        RouteCase(list, "has a number of its own, whatever is answered, which the log tells too") { server in
            let log = LoggedLines()
            var client = try await server.somebody()
            client.logger = log.logger
            // A client's own number is no proxy's.
            client = client.sending(requestID, "mine")
            var ids: [String] = []
            for (path, status) in [
                ("/api/v1/collection/", 200), ("/api/v1/collection/x/", 404), ("/nowhere", 404), ("/api/v1/collection/?limit=x", 422),
                ("/live", 200), ("/api/v1/authentication/login/", 405),
            ] {
                let answer = try await client.get(path)
                #expect(answer.status == status, "\(path): \(answer)")
                let id = try #require(answer.headers[requestID], "\(path)")
                #expect(log.take("request").map { $0["request_id"] } == [id], "\(path)")
                ids.append(id)
            }
            #expect(try await client.bearing(nil).get("/api/v1/collection/").headers[requestID]?.isEmpty == false)
            #expect(Set(ids).count == ids.count && !ids.contains("mine"))
        },
        RouteCase(list, "keeps the number that a trusted proxy gives it, where that is one") { server in
            let log = LoggedLines()
            var client = try await Client(server, on: server.proxied(logsClients: false))
            client.logger = log.logger
            for id in ["a", "7f-1_2.3:4/5+6=~@", String(repeating: "x", count: 128)] {
                #expect(try await client.sending(requestID, id).get("/api/v1/collection/").headers[requestID] == id)
                #expect(log.take("request").map { $0["request_id"] } == [id])
            }
            for id in ["", "a b", "a\"b", "ä", "a;b", String(repeating: "x", count: 129)] {
                let answer = try await client.sending(requestID, id).get("/api/v1/collection/")
                #expect(![id, nil, ""].contains(answer.headers[requestID]), "\(id)")
            }
        },
        RouteCase(list, "is told with the user's number and address, where that is wanted") { server in
            let log = LoggedLines()
            let user = try await server.somebody()
            _ = try await user.makeCollection()
            for isWanted in [true, false] {
                var client = try await Client(server, on: server.proxied(logsClients: isWanted)).bearing(user.token)
                client.logger = log.logger
                client = client.sending(.forwardedFor, "192.0.2.77")
                let stoken = try #require(try await client.get("/api/v1/collection/").value["stoken"]?.text)
                _ = try await client.get("/api/v1/collection/?stoken=\(stoken)")
                _ = try await client.get("/api/v1/collection/x/")
                let lines = log.take("request")
                #expect(lines.count == 3)
                #expect(Set(lines.map { $0["address"] }) == [isWanted ? "192.0.2.77" : nil])
                #expect(Set(lines.map { $0["user"] }).count == 1)
                #expect(lines.allSatisfy { ($0["user"].flatMap { Int($0) } != nil) == isWanted })
                _ = try await client.bearing(nil).get("/api/v1/collection/")
                #expect(log.take("request").map { $0["user"] } == [nil])
            }
        },
        RouteCase(logIn, "that fails has a line with the address, where that is wanted, and nothing of the name") { server in
            let log = LoggedLines()
            let user = try await server.somebody()
            for isWanted in [true, false] {
                var client = try await Client(server, name: user.name, on: server.proxied(logsClients: isWanted))
                client.logger = log.logger
                client = client.sending(.forwardedFor, "2001:db8::77")
                let response = try await client.loginResponse()
                _ = try await client.post("/api/v1/authentication/login/", client.signed(response))
                #expect(log.take("login failed").isEmpty)
                let wrong = SigningKey(seed: [UInt8](repeating: 7, count: 32))
                let answer = try await client.post("/api/v1/authentication/login/", client.signed(response, by: wrong))
                _ = try await client.post("/api/v1/authentication/login_challenge/", ["username": "hunter2"])
                let lines = log.take("login failed")
                #expect(lines.map { $0["code"] } == (isWanted ? ["login_bad_signature", "user_not_found"] : []))
                #expect(lines.allSatisfy { $0["address"] == "2001:db8::77" })
                if isWanted { #expect(lines.first?["request_id"] == answer.headers[requestID]) }
                #expect(!log.all.contains { $0.values.contains { $0.contains("hunter2") || $0.contains(user.name) } })
            }
        },
    ]
}

extension TestServer {
    /// The same behind a proxy.
    fileprivate func proxied(logsClients: Bool) throws -> Wiring {
        var settings = wiring.settings
        settings.api.isProxied = true
        settings.api.logsClients = logsClients
        return try Wiring(wiring.node, settings, logger: logger)
    }
}

/// What is logged, at every level.
private final class LoggedLines: Sendable {
    private let lines = Mutex<[[String: String]]>([])

    var logger: Logger { Logger(label: "tests") { _ in Handler(log: self) } }

    var all: [[String: String]] { lines.withLock { $0 } }

    /// The fields of those that say so since it was asked last.
    func take(_ message: String) -> [[String: String]] {
        lines.withLock { lines in
            defer { lines.removeAll { $0["message"] == message } }
            return lines.filter { $0["message"] == message }
        }
    }

    private struct Handler: LogHandler {
        let log: LoggedLines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = metadata.merging(event.metadata ?? [:]) { $1 }.mapValues { "\($0)" }
            log.lines.withLock { $0.append(fields.merging(["message": "\(event.message)"]) { $1 }) }
        }
    }
}
