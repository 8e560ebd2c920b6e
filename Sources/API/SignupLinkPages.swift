internal import Database
internal import Domain
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Pages
internal import ReadModel
internal import Sodium

/// What answers whoever opens a link with which an account is made. The link is all that is shown and all that is needed: its secret
/// is in the address, which no other site can know, so a form that is sent from elsewhere can do nothing. Where accounts are made by
/// the operator alone (``SignupPolicy/closed``), no link is good.
///
/// A form that is sent again, because no answer came or a page was loaded anew, is answered like the first time.
extension API {
    /// `GET join/{secret}`
    func signupForm(_ call: Call) async throws -> Response {
        guard let link = try await signupLink(call), !link.isUsedUp else { return Answer.page(SignupPages.gone, .notFound) }
        return Answer.page(SignupPages.form(fixed: link.username))
    }

    /// `POST join/{secret}`
    func signUpByLink(_ call: Call, _ body: ByteBuffer) async throws -> Response {
        guard let link = try await signupLink(call) else { return Answer.page(SignupPages.gone, .notFound) }
        try await limits.signUp(from: call.countedAddress(settings), at: call.now)
        let name = link.username ?? (QueryString(String(buffer: body)[...])["name"] ?? "").trimmingCharacters(in: .whitespaces)
        let command = CreateUser(username: name, email: "", keys: nil, passwordSalt: Sodium.randomAlphanumerics(40), mayCreate: true)
        let use = SignupUse(of: link, secret: call.parameter("secret"), for: command.name)
        let made = Answer.page(SignupPages.made(name: command.name.text, address: address(call)))
        let prepared = try await readModel.snapshot(.small) { try $0.prepare(command) }
        if let refusal = command.refusal(prepared.state) {
            guard refusal == .userExists, try await signupLinks.has(use) else { return Self.refused(name, refusal, link) }
            return made
        }
        try await requireListed(command.name)
        guard let claim = try await signupLinks.claim(use, at: call.now) else { return Answer.page(SignupPages.gone, .notFound) }
        // By somebody who asked for the same at the same time.
        guard claim != .made else { return made }
        do {
            try await door.commit(prepared, by: Actor(user: nil), at: call.now)
        } catch let refusal as Refusal {
            // Whoever asked for the same with the same link, or somebody else, was faster. Where it is not known what came of it,
            // the use stays with the name: none too many is made, and it can be asked for again.
            if try await signupLinks.giveBack(use) { return Self.refused(name, refusal, link) }
        }
        try await signupLinks.settle(use)
        return made
    }

    private func signupLink(_ call: Call) async throws -> SignupLink? {
        guard settings.signup != .closed else { return nil }
        return try await signupLinks.link(secret: call.parameter("secret"), at: call.now)
    }

    private static func refused(_ name: String, _ refusal: Refusal, _ link: SignupLink) -> Response {
        guard !link.isUsedUp else { return Answer.page(SignupPages.gone, .notFound) }
        return Answer.page(
            SignupPages.form(fixed: link.username, after: .init(name: name, fault: refusal.aboutName(isChosen: link.username == nil))),
            refusal == .userExists ? .conflict : .badRequest)
    }
}

extension CreateUser {
    /// Why it is not carried out; nil where it is.
    fileprivate func refusal(_ state: UserState) -> Refusal? {
        do { _ = try decide(state) } catch { return error }
        return nil
    }
}

extension Answer {
    static func page(_ page: WebPage, _ status: HTTPResponse.Status = .ok) -> Response {
        var response = text(status, page.html.text, type: MediaType.html)
        for (name, value) in WebPage.headers {
            guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is a name of a header") }
            response.headers[name] = value
        }
        return response
    }

    /// The page that tells people of an error, with the error's status and headers.
    static func faultPage(_ error: Response, _ detail: String) -> Response {
        var response = page(FaultPage.page(detail), error.status)
        for field in error.headers where response.headers[field.name] == nil { response.headers[field.name] = field.value }
        return response
    }
}

extension Refusal {
    /// What is wrong with a name.
    fileprivate func aboutName(isChosen: Bool) -> String {
        let next = isChosen ? "Choose another one." : "Ask whoever sent the link for a new one."
        return switch self {
        case .userExists, .userInactive: "Somebody has this name already. \(next)"
        case .usernameMissing: "Enter a name."
        default: fieldErrors?.map(\.detail).joined(separator: " ") ?? "This name cannot be taken. \(next)"
        }
    }
}
