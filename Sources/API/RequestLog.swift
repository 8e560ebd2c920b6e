internal import Domain
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import Synchronization

/// What the log says of a request.
final class RequestLog: Sendable {
    /// By which the request is found in the logs of all who pass it on.
    let id: String
    private let base: Logger
    /// The client's address; nil where the log tells nothing of clients.
    private let address: String?
    private let namesClients: Bool
    private let user = Mutex<UserID?>(nil)

    init(_ headers: HTTPFields, on channel: any Channel, _ settings: APISettings, _ logger: Logger) {
        let given = settings.isProxied ? headers[Self.header].flatMap { Self.isID($0) ? $0 : nil } : nil
        id = given ?? "\(RequestID())"
        base = logger
        namesClients = settings.logsClients
        address = namesClients ? Call.clientAddress(settings.isProxied ? .fromProxy : .ofConnections, headers, channel) : nil
    }

    /// Says the id with everything.
    var logger: Logger {
        var logger = base
        logger[metadataKey: "request_id"] = "\(id)"
        return logger
    }

    /// Whether anybody reads what is said at a level.
    func tells(_ level: Logger.Level) -> Bool { level >= base.logLevel }

    /// It is a user's.
    func isOf(_ user: UserID) { self.user.withLock { $0 = user } }

    /// What a line tells of the client.
    var client: Logger.Metadata {
        guard namesClients else { return [:] }
        var fields: Logger.Metadata = [:]
        if let address { fields["address"] = "\(address)" }
        if let user = user.withLock({ $0 }) { fields["user"] = .stringConvertible(user.rawValue) }
        return fields
    }

    /// Somebody has tried to log in in vain: the line that fail2ban waits for (`ops/fail2ban`). Of the name it says nothing, which
    /// may be a password that was typed into the wrong field.
    func loginFailed(_ error: APIError) {
        guard let address else { return }
        logger.notice("login failed", metadata: ["address": "\(address)", "code": "\(error.code)"])
    }

    /// As proxies and libraries make them: no text that a log or a header could be broken with.
    private static func isID(_ text: String) -> Bool {
        (1...longestID).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "-_.:/+=~@".utf8.contains(byte)
                }
            }
    }

    private static let longestID = 128

    static let header: HTTPField.Name = {
        guard let name = HTTPField.Name("X-Request-Id") else { preconditionFailure("X-Request-Id is the name of a header") }
        return name
    }()
}
