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
        ("X-Frame-Options", "DENY"), ("X-Robots-Tag", "noindex"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ]

    /// - Parameters:
    ///   - before: what stands before the content.
    ///   - refreshing: after how many seconds the page is loaded anew; nil for never.
    init(_ title: String, _ body: HTML, before: HTML = "", refreshing seconds: Int? = nil) {
        let refresh: HTML? = seconds.map { "<meta http-equiv=\"refresh\" content=\"\($0)\">\n" }
        html = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            \(refresh)<title>\(title)</title>
            <style>\(HTML(stringLiteral: Style.text))</style>
            </head>
            <body>
            \(before)
            <main id="main">
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
        h1 { font-size: 1.6rem; line-height: 1.3; overflow-wrap: anywhere }
        h2 { font-size: 1.2rem; margin-top: 2rem }
        code { background: #eee; padding: .1rem .4rem; border-radius: .2rem; overflow-wrap: anywhere }
        pre { overflow-x: auto; background: #eee; padding: .6rem; border-radius: .2rem }
        label { display: block; font-weight: 600; margin-top: 1rem }
        input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; border: 1px solid #767676; border-radius: .3rem; color: inherit; background: inherit }
        button { font: inherit; margin-top: 1rem; padding: .5rem 1.2rem; border: 0; border-radius: .3rem; color: #fff; background: #1a56a8 }
        :focus-visible, input:focus-within { outline: 3px solid #e08a00; outline-offset: 2px }
        button.quiet { color: #1a4a8f; background: #e6eefa }
        button.danger { background: #b00020 }
        header { max-width: 46rem; margin: 1rem auto 0; padding: 0 1rem; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; align-items: center }
        header ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; margin: 0; padding: 0 }
        header form { margin-left: auto }
        header button { margin-top: 0 }
        header ~ main { max-width: 46rem }
        .whose { font-weight: 600; margin: 0; width: 100%; overflow-wrap: anywhere }
        a { color: #1a4a8f }
        [aria-current] { font-weight: 600; text-decoration: none; color: inherit }
        .skip { position: absolute; left: -100rem }
        .skip:focus { left: 1rem }
        .rows { list-style: none; padding: 0 }
        .rows li { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center; justify-content: space-between; padding: .7rem 0; border-bottom: 1px solid #ccc }
        .rows li div { overflow-wrap: anywhere; min-width: 0 }
        .rows button { margin-top: 0 }
        .mark { display: inline-block; font-size: .9rem; font-weight: 400; padding: 0 .5rem; border-radius: 1rem; background: #fbe9b8; color: #4a3500 }
        dl { display: grid; grid-template-columns: fit-content(60%) 1fr; gap: .3rem 1.2rem; overflow-wrap: anywhere }
        dt { font-weight: 600 }
        dd { margin: 0; min-width: 0 }
        h3 { font-size: 1.1rem; margin: 1.5rem 0 0 }
        progress { width: 100%; accent-color: #1a56a8 }
        .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1.2rem }
        figure { margin: 0 }
        figcaption { font-size: .95rem }
        svg { display: block; width: 100%; height: auto }
        .bars { stroke: #1a56a8; stroke-width: 3 }
        .axis { stroke: #767676; stroke-width: 1 }
        .notice { border-left: .3rem solid #1b7a3d; padding-left: .8rem }
        .error { border-left: .3rem solid #b00020; padding-left: .8rem }
        @media (prefers-color-scheme: dark) {
        body { color: #e8e8e8; background: #161616 }
        code, pre { background: #333 }
        input { border-color: #949494 }
        button { background: #2b66b5 }
        button.quiet { color: #cfe0fa; background: #263a57 }
        button.danger { background: #b3263a }
        a { color: #8fbaf5 }
        .rows li { border-color: #444 }
        progress { accent-color: #8fbaf5 }
        .bars { stroke: #8fbaf5 }
        .mark { background: #5a4610; color: #fff0c2 }
        }
        """
}
