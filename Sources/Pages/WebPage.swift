internal import Foundation
internal import Sodium

/// A whole page.
package struct WebPage: Sendable {
    package let html: HTML

    /// The headers that every page is answered with: it runs nothing, loads nothing, is in no frame, is kept nowhere, and tells
    /// nobody its address.
    package static let headers: [(name: String, value: String)] = [
        (
            "Content-Security-Policy",
            "default-src 'none'; style-src '\(Style.hash)'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        ), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"), ("X-Robots-Tag", "noindex"),
    ]

    init(_ title: String, _ body: HTML) {
        html = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(title)</title>
            <style>\(HTML(stringLiteral: Style.text))</style>
            </head>
            <body>
            <main>
            \(body)
            </main>
            </body>
            </html>

            """
    }
}

/// How pages look: light or dark as the reader's device is, on any width.
private enum Style {
    /// What the policy of a page lets it use, and nothing else.
    static let hash = "sha256-" + Data(Sodium.sha256(Array(text.utf8))).base64EncodedString()

    static let text = """
        :root { color-scheme: light dark }
        body { font: 1.1rem/1.6 system-ui, sans-serif; margin: 0; color: #222; background: #fff }
        main { max-width: 38rem; margin: 2rem auto; padding: 0 1rem }
        h1 { font-size: 1.6rem; line-height: 1.3 }
        h2 { font-size: 1.2rem; margin-top: 2rem }
        code { background: #eee; padding: .1rem .4rem; border-radius: .2rem; overflow-wrap: anywhere }
        label { display: block; font-weight: 600 }
        input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; border: 1px solid #767676; border-radius: .3rem; color: inherit; background: inherit }
        button { font: inherit; margin-top: 1rem; padding: .5rem 1.2rem; border: 0; border-radius: .3rem; color: #fff; background: #1a56a8 }
        :focus-visible { outline: 3px solid #e08a00; outline-offset: 2px }
        .error { border-left: .3rem solid #b00020; padding-left: .8rem }
        @media (prefers-color-scheme: dark) {
        body { color: #e8e8e8; background: #161616 }
        code { background: #333 }
        input { border-color: #949494 }
        button { background: #2f6fc4 }
        }
        """
}
