internal import Domain
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import ReadModel
internal import Sodium

/// How people are let into the pages, and how it is known that it is them.
///
/// A link with a secret is good once, and for a short time: a button on the page that it opens redeems it, so that programs which only look
/// at links do not. What is got for it is a cookie, which no script can read and no other site sends, and which ends. Each form
/// bears a key that follows from the cookie: who has not seen the page cannot send one. No answer may be read by another origin
/// (``CORS`` is for the API alone), nor be shown in a frame.
struct PageVisit: Sendable, Unprinted {
    let session: PageSession
    fileprivate let secret: String

    /// What each form bears.
    var formKey: String { Sodium.blake2b(Array(secret.utf8), personalization: "apus-page-form").hexadecimal }

    /// Whether a form comes from a page of this visit.
    func sent(_ form: QueryString) -> Bool {
        let (given, expected) = (Array((form["key"] ?? "").utf8), Array(formKey.utf8))
        return given.count == expected.count && zip(given, expected).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

extension PageArea {
    fileprivate var cookie: String { "apus_\(rawValue)" }

    /// How long a visit lasts.
    var visitTime: Duration {
        switch self {
        case .account: .seconds(3600)
        case .admin: .seconds(4 * 3600)
        }
    }
}

extension API {
    /// The visit that a request belongs to; nil where it belongs to none.
    func visit(_ area: PageArea, _ call: Call) async throws -> PageVisit? {
        for pair in (call.headers[.cookie] ?? "").split(separator: ";") {
            let pair = pair.drop { $0 == " " }
            guard pair.hasPrefix(area.cookie + "=") else { continue }
            let secret = String(pair.dropFirst(area.cookie.utf8.count + 1))
            guard let session = try await pageKeys.session(secret: secret, in: area, at: call.now) else { continue }
            return PageVisit(session: session, secret: secret)
        }
        return nil
    }

    /// Whether a link is good still.
    func isGood(_ area: PageArea, _ call: Call) async throws -> Bool {
        try await pageKeys.isGood(link: call.parameter("secret"), to: area, at: call.now)
    }

    /// Begins a visit with a link that is good, and leads to its first page.
    ///
    /// - Returns: nil for a link that is none, or is good no more.
    func enter(_ area: PageArea, _ call: Call) async throws -> Response? {
        let secret = try await pageKeys.redeem(link: call.parameter("secret"), to: area, goodFor: area.visitTime, at: call.now)
        return secret.map { entered(area, with: $0, at: "../", call) }
    }

    /// Leads to a page with a new visit.
    func entered(_ area: PageArea, with secret: String, at place: String, _ call: Call) -> Response {
        Answer.seeOther(place, cookie: cookie(area, secret, seconds: area.visitTime.components.seconds, call))
    }

    /// Ends a visit.
    ///
    /// - Parameter response: what is answered then.
    func leave(_ area: PageArea, _ visit: PageVisit, _ call: Call, _ response: Response) async throws -> Response {
        try await pageKeys.end(secret: visit.secret)
        var response = response
        response.headers[.setCookie] = cookie(area, "", seconds: 0, call)
        return response
    }

    private func cookie(_ area: PageArea, _ secret: String, seconds: Int64, _ call: Call) -> String {
        let secure = address(call).hasPrefix("https://") ? "; Secure" : ""
        return "\(area.cookie)=\(secret); Path=\(path(call))/\(area.rawValue)/; Max-Age=\(seconds); HttpOnly; SameSite=Strict\(secure)"
    }

    /// Under which path the server is reached, without a slash at its end.
    private func path(_ call: Call) -> String {
        guard let own = settings.publicAddress, own.host.name == HostName(call.authority)?.name else { return "" }
        let rest = own.text[(own.text.range(of: "://")?.upperBound ?? own.text.startIndex)...]
        return rest.firstIndex(of: "/").map { String(rest[$0...]) } ?? ""
    }
}

extension Answer {
    /// Leads to another page, which is asked for with GET.
    ///
    /// - Parameter place: seen from the address of the request.
    static func seeOther(_ place: String, cookie: String? = nil) -> Response {
        var response = Response(status: .seeOther, headers: [.location: place, .cacheControl: "no-store"])
        if let cookie { response.headers[.setCookie] = cookie }
        return response
    }
}

extension APIError {
    /// A form that comes from no page of this visit.
    static let foreignForm = APIError(
        .forbidden, code: "foreign_form", "This form is not from here. Open the page again, and send it from there.")
}

/// What a form has sent.
extension QueryString {
    init(form: ByteBuffer) { self.init(String(buffer: form)[...]) }
}
