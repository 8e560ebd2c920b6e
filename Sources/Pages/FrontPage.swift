/// What people see who open the server's address in a browser.
package enum FrontPage {
    /// - Parameter address: what to enter in an app.
    package static func page(address: String) -> WebPage {
        WebPage(
            "Apus",
            """
            <h1>Apus</h1>
            <p>This is a server for end-to-end encrypted calendars, contacts, tasks and notes. It works with every EteSync app.</p>
            <p>In the app, choose to set the server yourself (“advanced” or “custom server”) and enter:</p>
            <p><code>\(address)</code></p>
            <p>Then enter your name and password. The server never sees your data, nor the password.</p>
            """)
    }
}

/// What is answered in place of a page that cannot be shown.
package enum FaultPage {
    /// - Parameter detail: what is wrong, in a sentence.
    package static func page(_ detail: String) -> WebPage {
        WebPage("This does not work now", "<h1>This does not work now</h1>\n<p class=\"error\" role=\"alert\">\(detail)</p>")
    }
}
