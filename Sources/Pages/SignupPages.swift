/// The pages of a link with which somebody makes an account.
package enum SignupPages {
    /// What stands in the form that was sent, and what is wrong with it.
    package struct Attempt: Sendable {
        let name: String
        let fault: String

        package init(name: String, fault: String) {
            self.name = name
            self.fault = fault
        }
    }

    /// The form.
    ///
    /// - Parameter fixed: the name that the account gets, where that is settled.
    package static func form(fixed: String?, after attempt: Attempt? = nil) -> WebPage {
        let field: HTML = fixed.map { "<p>Your name is <code>\($0)</code>.</p>" } ?? field(attempt)
        return WebPage(
            "Your account",
            """
            <h1>You are invited</h1>
            <p>This server keeps your calendars, contacts, tasks and notes. Your apps encrypt everything before they send it: nobody else \
            can read it, not even whoever runs the server.</p>
            \(attempt.map { "<p class=\"error\" id=\"fault\" role=\"alert\">\($0.fault)</p>" as HTML })
            <form method="post">
            \(field)
            <button>Make my account</button>
            </form>
            """)
    }

    private static func field(_ attempt: Attempt?) -> HTML {
        """
        <label for="name">Name</label>
        <input id="name" name="name" value="\(attempt?.name ?? "")" maxlength="150" required autocomplete="username" \
        autocapitalize="none" spellcheck="false" aria-describedby="\(attempt == nil ? "rules" : "fault rules")">
        <p id="rules">Letters, digits and @ . + - _ are allowed. You enter it in each app, so a short one is good.</p>
        """
    }

    /// What to do in each app, once the account is there.
    ///
    /// - Parameter address: what to enter in an app.
    package static func made(name: String, address: String) -> WebPage {
        WebPage(
            "Your account is ready",
            """
            <h1>Your account is ready</h1>
            <p>Now <strong>sign up</strong> in one app, with this address and this name. You choose your password there; it never leaves \
            your device. Write it down: if you lose it, nobody can bring your data back.</p>
            <p>Server address: <code>\(address)</code></p>
            <p>Name: <code>\(name)</code></p>
            \(apps)
            <h2>On your next device</h2>
            <p><strong>Log in</strong> there, with the same server address, name and password. Sign up only once.</p>
            """)
    }

    /// What is answered for a link that is not good, whyever.
    package static let gone = WebPage(
        "This link does not work",
        """
        <h1>This link does not work</h1>
        <p>It may have been used already, have expired, or have been withdrawn. Ask whoever sent it for a new one.</p>
        <p>If you have made your account with it: sign up or log in with your name in the app.</p>
        """)

    private static let apps: HTML = """
        <h2>EteSync on Android</h2>
        <p>Choose “Sign Up” and “Show advanced settings”. Enter the name, any email address, a new password and, as the EteSync server \
        URL, the server address.</p>
        <h2>EteSync on iPhone and iPad</h2>
        <p>Choose “Sign Up” and switch on “Advanced settings”. Enter the name, any email address, a new password and, as the server, the \
        server address.</p>
        <h2>EteSync on the web</h2>
        <p>Open the web app, choose “Sign up” and switch on “Advanced settings”. Enter the name, any email address, a new password and, \
        as the server, the server address.</p>
        <h2>EteSync Notes</h2>
        <p>Choose “Sign up” and switch on “Advanced settings”. Enter the name, any email address, a new password and, as the server, the \
        server address.</p>
        <h2>Tasks.org</h2>
        <p>Sign up in one of the apps above first. Then in Tasks.org: “Settings”, “Add account”, “EteSync”. Enter the name, the password \
        and, under “Show advanced settings”, the server address.</p>
        <h2>DAV bridge, for Thunderbird, Evolution and others</h2>
        <p>Sign up in one of the apps above first. Then open the bridge's own page on your computer (<code>http://localhost:37358</code>), \
        choose to add a user, and enter the name, the password and, as the server URL, the server address.</p>
        """
}
