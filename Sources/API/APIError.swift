internal import HTTPTypes
internal import MessagePack

/// An answer that is an error of the protocol, other than a refusal by the rules.
struct APIError: Error, Sendable {
    /// In which of the original's shapes the error is told.
    enum Shape: Sendable {
        /// `code` and `detail`.
        case plain
        /// `code`, `detail`, and `errors`, which is null.
        case withErrors
        /// JSON with a `detail` alone, whatever the client accepts.
        case json
        /// Plain text.
        case text
    }

    let status: HTTPResponse.Status
    let shape: Shape
    let code: String
    let detail: String
    var headers: HTTPFields = [:]

    /// The code stands on the wire; the status and the shape belong to it.
    init(_ status: HTTPResponse.Status, _ shape: Shape = .withErrors, code: String = "", _ detail: String) {
        self.status = status
        self.shape = shape
        self.code = code
        self.detail = detail
    }

    static let notAuthenticated = APIError(.forbidden, .json, "Not authenticated")
    static let unparsableBody = APIError(.badRequest, .json, "There was an error parsing the body")
    static let invalidToken = APIError(.unauthorized, .plain, code: "authentication_failed", "Invalid token.")
    /// Of a user whom the directory does not have any more, and of a name that is to have an account, in the original's words.
    static let notInDirectory = APIError(.forbidden, .plain, code: "permission_denied", "User not in LDAP directory.")
    static let nameNotInDirectory = APIError(.badRequest, code: "generic", "User not in the LDAP directory.")
    static let inactiveUser = APIError(.unauthorized, .plain, code: "authentication_failed", "User inactive or deleted.")
    static let userNotFound = APIError(.unauthorized, .plain, code: "user_not_found", "User not found")
    static let sharedEmail = APIError(
        .unauthorized, .plain, code: "user_not_found", "Several accounts have this email address: log in by name")
    static let userNotInitialized = APIError(.unauthorized, .plain, code: "user_not_init", "User not properly init")
    static let wrongUser = APIError(.badRequest, code: "wrong_user", "This challenge is for the wrong user")
    static let expiredChallenge = APIError(.badRequest, code: "challenge_expired", "Login challenge has expired")
    static let badSignature = APIError(.unauthorized, code: "login_bad_signature", "Wrong password for user.")
    static let badStoken = APIError(.badRequest, code: "bad_stoken", "Invalid stoken.")
    static let tooManyItems = APIError(.badRequest, code: "too_many_items", "Request has too many items.")
    static let noDashboard = APIError(.badRequest, code: "not_supported", "This server doesn't have a user dashboard.")
    static let notFound = APIError(.notFound, code: "does_not_exist", "There is nothing at this address.")
    static let staticNotFound = APIError(.notFound, .json, "Not Found")
    static let wrongHostHeader = APIError(.badRequest, .text, "Invalid host header")

    /// The rest of a body does not come; nothing can follow on its connection.
    static let slowBody: APIError = {
        var error = APIError(.requestTimeout, code: "timeout", "The request came too slowly.")
        error.headers[.connection] = "close"
        return error
    }()

    static func badLogin(_ detail: String) -> APIError { APIError(.badRequest, code: "bad_login", detail) }

    static func wrongAction(expected: String) -> APIError {
        APIError(.badRequest, code: "wrong_action", "Expected \"\(expected)\" but got something else")
    }

    static func wrongHost(given: String, expected: String) -> APIError {
        APIError(.badRequest, code: "wrong_host", "Found wrong host name. Got: \"\(given)\" expected: \"\(expected)\"")
    }

    static func tooLarge(_ what: String, limitBytes: Int) -> APIError {
        APIError(.contentTooLarge, code: "too_large", "\(what) must not be longer than \(limitBytes) bytes.")
    }

    static func methodNotAllowed(allowed: [HTTPRequest.Method]) -> APIError {
        var error = APIError(.methodNotAllowed, code: "method_not_allowed", "This address does not take this method.")
        error.headers[.allow] = allowed.map(\.rawValue).sorted().joined(separator: ", ")
        return error
    }

    /// Too many logins have failed.
    static func tooManyLogins(retryAfter wait: Duration) -> APIError {
        let seconds = wait.wholeSeconds
        var error = APIError(
            .tooManyRequests, code: "too_many_requests", "Too many attempts to log in. Try again in \(seconds) seconds.")
        error.headers[.retryAfter] = "\(seconds)"
        return error
    }

    /// More than one may do in a time, of what is no login: clients try again quietly, as with all that is too much.
    static func tooMany(retryAfter wait: Duration) -> APIError {
        let seconds = wait.wholeSeconds
        var error = APIError(.serviceUnavailable, code: "unavailable", "Too many of these. Try again in \(seconds) seconds.")
        error.headers[.retryAfter] = "\(seconds)"
        return error
    }

    /// Something is away or overloaded; clients try again quietly.
    static let unavailable: APIError = {
        var error = APIError(.serviceUnavailable, code: "unavailable", "The server cannot do this right now. Try again later.")
        error.headers[.retryAfter] = "1"
        return error
    }()
}

extension Duration {
    /// Rounded up.
    fileprivate var wholeSeconds: Int64 { components.seconds + (components.attoseconds > 0 ? 1 : 0) }
}
