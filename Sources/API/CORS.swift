internal import HTTPTypes
internal import Hummingbird

/// Requests from web pages of any origin over HTTP or HTTPS, in the recorded form (`http-cors`).
enum CORS {
    private static let methods = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    private static let allowOrigin = name("access-control-allow-origin")
    private static let allowCredentials = name("access-control-allow-credentials")
    private static let allowMethods = name("access-control-allow-methods")
    private static let allowHeaders = name("access-control-allow-headers")
    private static let maxAge = name("access-control-max-age")
    private static let requestMethod = name("access-control-request-method")
    private static let requestHeaders = name("access-control-request-headers")

    /// The answer to a preflight request; nil when the request is none.
    static func preflight(_ request: Request) -> Response? {
        guard request.method == .options, let origin = request.headers[.origin], let method = request.headers[requestMethod]
        else { return nil }
        var faults: [String] = []
        var headers: HTTPFields = [
            .vary: "Origin", allowCredentials: "true", allowMethods: methods.joined(separator: ", "), maxAge: "600",
        ]
        if isAllowed(origin) { headers[allowOrigin] = origin } else { faults.append("origin") }
        if !methods.contains(method) { faults.append("method") }
        headers[allowHeaders] = request.headers[requestHeaders]
        var response =
            faults.isEmpty
            ? Answer.text(.ok, "OK") : Answer.text(.badRequest, "Disallowed CORS " + faults.joined(separator: ", "))
        response.headers.append(contentsOf: headers)
        return response
    }

    /// Adds the headers that let the page read the answer.
    static func decorate(_ response: inout Response, for request: Request) {
        guard let origin = request.headers[.origin] else { return }
        response.headers[allowCredentials] = "true"
        guard isAllowed(origin) else { return }
        response.headers[allowOrigin] = origin
        response.headers[.vary] = "Origin"
    }

    private static func isAllowed(_ origin: String) -> Bool { origin.hasPrefix("https://") || origin.hasPrefix("http://") }

    private static func name(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is a header's name") }
        return name
    }
}
