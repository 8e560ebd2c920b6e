internal import Database
internal import Domain
internal import EventLog
internal import Hummingbird
internal import HTTPTypes
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

    /// A page for people who open the server's address in a browser.
    func frontPage(_ call: Call) -> Response {
        let scheme = call.headers[Self.forwardedProto] == "https" ? "https://" : "http://"
        let address = settings.publicAddress?.text ?? scheme + call.authority
        return Answer.text(.ok, FrontPage.html(address: address), type: MediaType.html)
    }
}

enum FrontPage {
    static func html(address: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Apus</title>
        <style>
        body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 38rem; margin: 4rem auto; padding: 0 1rem; color: #222 }
        code { background: #eee; padding: .1rem .4rem; border-radius: .2rem }
        </style>
        <h1>Apus</h1>
        <p>This is a server for end-to-end encrypted calendars, contacts, tasks and notes. It works with every EteSync app.</p>
        <p>In the app, choose to set the server yourself (“advanced” or “custom server”) and enter:</p>
        <p><code>\(escaped(address))</code></p>
        <p>Then enter your name and password. The server never sees your data, nor the password.</p>
        </html>

        """
    }

    /// The address holds the request's Host, which anybody can make up.
    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }
}
