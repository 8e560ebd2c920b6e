internal import Database
internal import Domain
internal import EventLog
internal import Hummingbird
internal import HTTPTypes
internal import Pages
internal import ReadModel

extension API {
    /// Whether the process can do its work: a line for each thing that is wrong.
    func ready() async -> Response {
        let faults = await readiness.faults()
        let lines = faults.map { $0.text + "\n" }.joined()
        let isReady = faults.allSatisfy(\.isBearable)
        return Answer.text(isReady ? .ok : .serviceUnavailable, isReady ? "ready\n" + lines : lines)
    }

    /// How a proxy tells that clients speak HTTPS to it.
    private static let forwardedProto: HTTPField.Name = {
        guard let name = HTTPField.Name("x-forwarded-proto") else { preconditionFailure("this is a header's name") }
        return name
    }()

    /// `GET /`
    func frontPage(_ call: Call) -> Response { Answer.page(FrontPage.page(address: address(call))) }

    /// What people enter in an app.
    func address(_ call: Call) -> String {
        let scheme = call.headers[Self.forwardedProto] == "https" ? "https://" : "http://"
        return settings.publicAddress?.text ?? scheme + call.authority
    }
}
